//! Nobody listens where clients look, or not all the time.

use std::net::Ipv6Addr;

use whydrop_tests::family::Family;
use whydrop_tests::listener::Options;
use whydrop_tests::wire::Wire;

use super::*;

#[test]
fn nobody_listens() -> Result<()> {
    let netns = Netns::new()?;
    let listener = Listener::new(&netns, Ipv4Addr::LOCALHOST.into(), BACKLOG)?;
    let to = listener.address();
    drop(listener);
    let answer = why(&netns, to, || Client::connect(&netns, to).map(drop))?;
    expect(&answer, &["no-listener"])
}

#[test]
fn listener_at_another_address() -> Result<()> {
    let netns = Netns::new()?;
    let (at, _holder) = held(&netns, BACKLOG, Work::Serve { rest_us: 0 })?;
    let to = SocketAddr::new(Ipv4Addr::new(127, 0, 0, 2).into(), at.port());
    let answer = why(&netns, to, || Client::connect(&netns, to).map(drop))?;
    expect(&answer, &["listener-elsewhere"])?;
    ensure!(answer.to_string().contains(&at.to_string()), "{answer:#}");
    Ok(())
}

#[test]
fn listener_that_is_closed_with_its_queue() -> Result<()> {
    let netns = Netns::new()?;
    let listener = Listener::new(&netns, Ipv4Addr::LOCALHOST.into(), BACKLOG)?;
    let to = listener.address();
    drop(listener);
    let answer = why(&netns, to, || {
        let options = Options {
            port: to.port(),
            listen_backlog: BACKLOG,
            ..Options::default()
        };
        let listener = Listener::with(&netns, to.ip(), options)?;
        let client = Client::connect(&netns, to)?;
        ensure!(client.ended_within(soon())?, "a client hangs");
        drop(listener);
        Ok(())
    })?;
    expect(&answer, &["listener-closed-with-queue"])
}

#[test]
fn listener_for_ipv6_only() -> Result<()> {
    let netns = Netns::new()?;
    let options = Options {
        listen_backlog: BACKLOG,
        v6_only: true,
        ..Options::default()
    };
    let listener = Listener::with(&netns, Ipv6Addr::UNSPECIFIED.into(), options)?;
    let to = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listener.port());
    let answer = why(&netns, to, || Client::connect(&netns, to).map(drop))?;
    expect(&answer, &["listener-elsewhere"])
}

#[test]
fn listener_on_another_device() -> Result<()> {
    let wire = Wire::new()?;
    let options = Options {
        listen_backlog: BACKLOG,
        device: Some("lo"),
        ..Options::default()
    };
    let listener = Listener::with(wire.netns(), Ipv4Addr::UNSPECIFIED.into(), options)?;
    refused_on_wire(&wire, listener.port())
}

#[test]
fn listener_in_another_namespace() -> Result<()> {
    let wire = Wire::new()?;
    let other = Netns::new()?;
    let listener = Listener::new(&other, Ipv4Addr::UNSPECIFIED.into(), BACKLOG)?;
    refused_on_wire(&wire, listener.port())
}

fn refused_on_wire(wire: &Wire, port: u16) -> Result<()> {
    let to = SocketAddr::new(Family::V4.local(), port);
    let mut every = Every::new(PAUSE / 4);
    let answer = why(wire.netns(), to, || {
        if every.is_due() {
            let peer = wire.peer(Family::V4, port);
            peer.syn()?;
            peer.expect_reset()?;
        }
        Ok(())
    })?;
    expect(&answer, &["listener-elsewhere"])
}

/// Closed with nobody in its queue, and opened again a moment later.
#[test]
fn listener_that_comes_and_goes() -> Result<()> {
    let netns = Netns::new()?;
    let mut listener = Some(Listener::new(&netns, Ipv4Addr::LOCALHOST.into(), BACKLOG)?);
    let to = listener.as_ref().context("just made")?.address();
    let options = Options {
        port: to.port(),
        listen_backlog: BACKLOG,
        ..Options::default()
    };
    let mut turn = Every::new(PAUSE / 2);
    let answer = why(&netns, to, || {
        if turn.is_due() {
            listener = match listener.take() {
                Some(_) => None,
                None => Some(Listener::with(&netns, to.ip(), options)?),
            };
        }
        let client = Client::connect(&netns, to)?;
        ensure!(client.ended_within(soon())?, "a client hangs");
        if let Some(listener) = &listener {
            listener.accept_soon()?;
        }
        Ok(())
    })?;
    expect(&answer, &["listener-restarting"])
}
