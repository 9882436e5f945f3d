//! haproxy: at its `maxconn` it takes the listener out of its epoll instance.

use anyhow::Result;
use whydrop_tests::netns::Netns;
use whydrop_tests::server::{Directory, Server, file_of};

use super::{CLIENTS, TO, expect, pressed};

#[test]
#[ignore = "needs haproxy; `cargo xtask lab` runs it"]
fn maxconn_is_reached() -> Result<()> {
    let netns = Netns::new()?;
    let directory = Directory::new("haproxy-maxconn")?;
    let configuration = format!(
        "global\n  nbthread 2\n\
         defaults\n  mode http\n  timeout client 60s\n  timeout http-request 60s\n\
         frontend f\n  bind {TO} backlog 8\n  maxconn 4\n  http-request return status 200\n"
    );
    let path = directory.write("haproxy.cfg", &configuration)?;
    let path = path.display().to_string();
    let program = file_of("haproxy", "usr/sbin/haproxy")?;
    let _haproxy = Server::start(&netns, TO, directory, &program, &["-db", "-f", &path])?;
    expect(
        &pressed(&netns, CLIENTS)?,
        &["accept-paused-by-application"],
    )
}
