//! Go: a queue as long as somaxconn, many threads, and an accept(2) that fails is tried again later.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use whydrop_tests::netns::Netns;
use whydrop_tests::server::{Directory, Server, file_of};

use super::{CLIENTS, TO, expect, get, pressed, signal, why};

fn exporter(netns: &Netns, name: &str) -> Result<Server> {
    let package = "prometheus-node-exporter";
    let program = file_of(package, "usr/bin/prometheus-node-exporter")?;
    let listen = format!("--web.listen-address={TO}");
    let arguments = ["--collector.disable-defaults", &listen];
    let directory = Directory::new(name)?;
    Server::start(netns, TO, directory, &program, &arguments)
}

#[test]
#[ignore = "needs prometheus-node-exporter; `cargo xtask lab` runs it"]
fn busy_and_sound() -> Result<()> {
    let netns = Netns::new()?;
    let _exporter = exporter(&netns, "go-sound")?;
    let answer = why(&netns, || (0..20).try_for_each(|_| get(&netns)))?;
    expect(&answer, &[])
}

#[test]
#[ignore = "needs prometheus-node-exporter; `cargo xtask lab` runs it"]
fn process_that_is_stopped() -> Result<()> {
    let netns = Netns::new()?;
    netns.sysctl("net/core/somaxconn", "8")?;
    let exporter = exporter(&netns, "go-stopped")?;
    signal(exporter.main(), Signal::STOP)?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-stopped"])
}

#[test]
#[ignore = "needs prometheus-node-exporter; `cargo xtask lab` runs it"]
fn no_descriptor_left() -> Result<()> {
    let netns = Netns::new()?;
    netns.sysctl("net/core/somaxconn", "8")?;
    let exporter = exporter(&netns, "go-descriptors")?;
    // A connection that waits makes it open all that it opens for the first one.
    get(&netns)?;
    limit_descriptors(exporter.main())?;
    expect(&pressed(&netns, CLIENTS)?, &["fd-exhausted"])
}

/// To those that it has now.
fn limit_descriptors(pid: Pid) -> Result<()> {
    let open = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()))?;
    let open = Some(open.count() as u64);
    let limit = Rlimit {
        current: open,
        maximum: open,
    };
    prlimit(Some(pid), Resource::Nofile, limit).context("prlimit")?;
    ensure!(open > Some(0), "it has no descriptors");
    Ok(())
}
