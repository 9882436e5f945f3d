//! Go: a server that takes so many connections at a time, as netutil.LimitListener does.

use std::process::Stdio;

use anyhow::ensure;
use whydrop_tests::server::command;

use super::*;

const SERVER: &str = r#"package main

import "net"

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		panic(err)
	}
	room := make(chan struct{}, 4)
	for {
		room <- struct{}{}
		client, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			client.Read(make([]byte, 1))
			client.Close()
			<-room
		}()
	}
}
"#;

#[test]
#[ignore = "needs golang-go; `cargo xtask lab` runs it"]
fn go_that_takes_four_at_a_time() -> Result<()> {
    let netns = Netns::new()?;
    netns.sysctl("net/core/somaxconn", "8")?;
    let Some(go) = installed("golang-go", "usr/bin/go")? else {
        return Ok(());
    };
    let directory = Directory::new("go-limit")?;
    let path = directory.write("main.go", SERVER)?;
    let program = directory.path().join("server");
    let built = command(&go)
        .args(["build", "-o"])
        .args([&program, &path])
        .current_dir(directory.path())
        .env("GOCACHE", directory.path().join("cache"))
        .env("GO111MODULE", "off")
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "go build: {said}");
    let _server = Server::start(&netns, TO, directory, &program, &[])?;
    let silent = (0..4).map(|_| request(&netns, ""));
    let _silent = silent.collect::<Result<Vec<_>>>()?;
    expect(
        &pressed(&netns, CLIENTS)?,
        &["accept-paused-by-application"],
    )
}
