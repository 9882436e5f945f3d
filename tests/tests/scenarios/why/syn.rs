//! The SYN queue is full.

use whydrop_tests::family::Family;
use whydrop_tests::peer::Peer;
use whydrop_tests::wire::Wire;

use super::*;

/// Those that had room end for want of an answer, which is no loss on the way.
#[test]
fn syns_that_nobody_completes() -> Result<()> {
    let wire = Wire::new()?;
    wire.netns().sysctl("net/ipv4/tcp_synack_retries", "0")?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), BACKLOG)?;
    let to = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), listener.port());
    let arguments = [&to.to_string(), "--for", "4s"];
    let answer = ask(wire.netns(), &arguments, || {
        wire.forget_unread();
        wire.peer(Family::V4, listener.port()).syn()
    })?;
    expect(&answer, &["syn-flood"])
}

#[test]
fn syns_without_cookies() -> Result<()> {
    let wire = Wire::new()?;
    wire.netns().sysctl("net/ipv4/tcp_syncookies", "0")?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), BACKLOG)?;
    let to = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), listener.port());
    let mut every = Every::new(PAUSE / 4);
    let answer = why(wire.netns(), to, || {
        wire.forget_unread();
        // So few that it is no flood.
        if every.is_due() {
            wire.peer(Family::V4, listener.port()).syn()?;
        }
        Ok(())
    })?;
    expect(&answer, &["cookies-off"])
}

/// More SYNs at once than the SYN queue holds, each by a client that means it.
#[test]
fn syns_that_everybody_completes() -> Result<()> {
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), BACKLOG)?;
    let mut every = Every::new(PAUSE / 2);
    let answer = why(wire.netns(), listener.address(), || {
        if !every.is_due() {
            return Ok(());
        }
        wire.forget_unread();
        let mut peers: Vec<Peer<'_>> = (0..CLIENTS)
            .map(|_| wire.peer(Family::V4, listener.port()))
            .collect();
        for peer in &mut peers {
            peer.open()?;
        }
        for peer in &peers {
            peer.ack()?;
            ensure!(listener.accept()?.is_some(), "a client was not let in");
        }
        Ok(())
    })?;
    expect(&answer, &["legitimate-burst"])
}
