//! redis: one thread accepts and works; others wait for work of their own.

use anyhow::Result;
use whydrop_tests::netns::Netns;
use whydrop_tests::server::{Directory, Server, file_of};

use super::{CLIENTS, TO, bursts, expect, pressed, request};

fn redis(netns: &Netns, name: &str, backlog: &str) -> Result<Server> {
    let directory = Directory::new(name)?;
    let program = file_of("redis-server", "usr/bin/redis-server")?;
    let (ip, port) = (TO.ip().to_string(), TO.port().to_string());
    let arguments = [
        ["--bind", &ip],
        ["--port", &port],
        ["--tcp-backlog", backlog],
        ["--enable-debug-command", "yes"],
        ["--save", ""],
        // Longer than a test: until then nobody is answered "busy".
        ["--busy-reply-threshold", "60000"],
    ];
    Server::start(netns, TO, directory, &program, arguments.as_flattened())
}

#[test]
#[ignore = "needs redis-server; `cargo xtask lab` runs it"]
fn event_loop_that_sleeps() -> Result<()> {
    let netns = Netns::new()?;
    let _redis = redis(&netns, "redis-sleep", "8")?;
    let _sleeps = request(&netns, "DEBUG SLEEP 60\r\n")?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-blocked"])
}

#[test]
#[ignore = "needs redis-server; `cargo xtask lab` runs it"]
fn script_that_does_not_end() -> Result<()> {
    let netns = Netns::new()?;
    let _redis = redis(&netns, "redis-script", "8")?;
    let _script = request(&netns, "EVAL \"while true do end\" 0\r\n")?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-saturated"])
}

#[test]
#[ignore = "needs redis-server; `cargo xtask lab` runs it"]
fn backlog_that_somaxconn_clamps() -> Result<()> {
    let netns = Netns::new()?;
    netns.sysctl("net/core/somaxconn", "8")?;
    let _redis = redis(&netns, "redis-somaxconn", "511")?;
    expect(&bursts(&netns)?, &["somaxconn-clamps-backlog"])
}
