//! Node: a backlog of 511 unless told otherwise, and one thread for everything.

use anyhow::Result;
use whydrop_tests::netns::Netns;
use whydrop_tests::server::{Directory, Server, file_of};

use super::{MANY_CLIENTS, TO, expect, get, pressed, request, why};

fn node(netns: &Netns, name: &str) -> Result<Server> {
    let directory = Directory::new(name)?;
    let script = format!(
        "require('http').createServer((request, response) => {{\n\
           while (request.url === '/busy') {{}}\n\
           response.end('ok');\n\
         }}).listen({}, '{}');\n",
        TO.port(),
        TO.ip()
    );
    let path = directory.write("server.js", &script)?;
    let path = path.display().to_string();
    let program = file_of("nodejs", "usr/bin/node")?;
    Server::start(netns, TO, directory, &program, &[&path])
}

#[test]
#[ignore = "needs nodejs; `cargo xtask lab` runs it"]
fn event_loop_that_is_busy() -> Result<()> {
    let netns = Netns::new()?;
    let _node = node(&netns, "node-busy")?;
    let _busy = request(&netns, "GET /busy HTTP/1.0\r\n\r\n")?;
    expect(&pressed(&netns, MANY_CLIENTS)?, &["acceptor-saturated"])
}

#[test]
#[ignore = "needs nodejs; `cargo xtask lab` runs it"]
fn busy_and_sound() -> Result<()> {
    let netns = Netns::new()?;
    let _node = node(&netns, "node-sound")?;
    let answer = why(&netns, || (0..20).try_for_each(|_| get(&netns)))?;
    expect(&answer, &[])
}
