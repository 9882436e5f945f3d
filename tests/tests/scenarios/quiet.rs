//! A listener that drops nobody makes no noise: no event, no loss, however
//! busy it is, and the packets still pass.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, ensure};
use whydrop_tests::client::Client;
use whydrop_tests::deadline::soon;
use whydrop_tests::family::Family;
use whydrop_tests::heard::Stopped;
use whydrop_tests::listener::Listener;
use whydrop_tests::netns::Netns;
use whydrop_tests::paths;
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::Whydrop;
use whydrop_tests::wire::Wire;

use crate::traced::trace;

#[test]
fn healthy_listener_is_silent() -> Result<()> {
    let netns = Netns::new()?;
    let whydrop = Whydrop::start()?;
    let truth = Truth::begin(&netns)?;
    for family in Family::ALL {
        let listener = Listener::new(&netns, unspecified(family), 64)?;
        for _ in 0..20 {
            let (client, server) = connect(&netns, &listener, family)?;
            drop((client, server));
        }
    }
    let stopped = whydrop.stop()?;
    truth.check(&netns, &stopped)?;
    check_silent(&netns, &stopped)
}

#[test]
fn connections_on_the_wire_are_silent() -> Result<()> {
    trace(paths::healthy)
}

/// Only shown with `--events all`.
#[test]
fn deferred_accept_is_no_drop() -> Result<()> {
    trace(|wire, family| {
        let mut expected = paths::deferred_accept(wire, family)?;
        expected.events.clear();
        Ok(expected)
    })
}

/// The server's own doing; only shown with `--events all`. `trace` lets resets
/// pass that nobody expects.
#[test]
fn server_that_resets_is_silent() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Whydrop::start()?;
    let truth = Truth::begin(wire.netns())?;
    let _kept = paths::closed_unread(&wire, Family::V4)?;
    let stopped = whydrop.stop()?;
    truth.check(wire.netns(), &stopped)?;
    check_silent(wire.netns(), &stopped)
}

#[test]
fn old_syn_in_time_wait_is_silent() -> Result<()> {
    trace(paths::old_syn_in_time_wait)
}

#[test]
fn port_used_again_is_silent() -> Result<()> {
    trace(paths::new_syn_in_time_wait)
}

#[test]
fn packets_still_pass() -> Result<()> {
    const MEGABYTES: usize = 4;
    let netns = Netns::new()?;
    let whydrop = Whydrop::start()?;
    for family in [Family::V4, Family::V6] {
        let listener = Listener::new(&netns, unspecified(family), 64)?;
        let (client, server) = connect(&netns, &listener, family)?;
        echo(client, server, MEGABYTES << 20).with_context(|| format!("over {family}"))?;
    }
    let stopped = whydrop.stop()?;
    ensure!(
        stopped.code == Some(0),
        "exit code {:?}: {}",
        stopped.code,
        stopped.stderr
    );
    check_silent(&netns, &stopped)
}

fn check_silent(netns: &Netns, stopped: &Stopped) -> Result<()> {
    // A packet that loopback retransmits is the kernel's affair, and shown
    // only when it belongs to a connection attempt: none here does.
    let events: Vec<_> = stopped.events_in(netns.inum()).collect();
    ensure!(
        events.is_empty(),
        "a healthy listener made noise: {events:?}"
    );
    Ok(())
}

fn unspecified(family: Family) -> std::net::IpAddr {
    match family {
        Family::V4 => std::net::Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 | Family::Mapped => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn connect(netns: &Netns, listener: &Listener, family: Family) -> Result<(TcpStream, TcpStream)> {
    let client = Client::connect(netns, SocketAddr::new(family.loopback(), listener.port()))?
        .into_stream()?;
    let server = listener.accept_soon()?;
    server.set_nonblocking(false)?;
    Ok((client, server))
}

/// Sends this much to the server, which sends it back.
fn echo(mut client: TcpStream, mut server: TcpStream, bytes: usize) -> Result<()> {
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(soon()))?;
        stream.set_write_timeout(Some(soon()))?;
    }
    let pattern: Vec<u8> = (0..=255).cycle().take(64 << 10).collect();
    std::thread::scope(|scope| {
        let serving = scope.spawn(move || -> Result<()> {
            let mut buffer = vec![0; 64 << 10];
            let mut left = bytes;
            while left > 0 {
                let length = server.read(&mut buffer)?;
                ensure!(length > 0, "the client closed early");
                server.write_all(&buffer[..length])?;
                left -= length;
            }
            Ok(())
        });
        let mut answer = vec![0; pattern.len()];
        for _ in 0..bytes / pattern.len() {
            client.write_all(&pattern)?;
            client.read_exact(&mut answer)?;
            ensure!(answer == pattern, "the echo differs");
        }
        serving
            .join()
            .map_err(|_| anyhow::anyhow!("the server panicked"))?
    })
}
