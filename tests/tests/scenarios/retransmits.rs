//! Retransmits of connection attempts: a SYN-ACK that nobody acknowledges, and
//! a SYN that nobody answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Result, ensure};
use whydrop_tests::client::Client;
use whydrop_tests::family::Family;
use whydrop_tests::listener::Listener;
use whydrop_tests::paths;
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::Whydrop;
use whydrop_tests::wire::Wire;

use crate::traced::trace;

#[test]
fn syn_ack_after_a_second() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Whydrop::start()?;
    for family in Family::ALL {
        let listener = Listener::new(wire.netns(), family.bind(), 8)?;
        let mut peer = wire.peer(family, listener.port());
        peer.open()?;
        let events = whydrop.wait_events(1, "SYN-ACK retransmits", |event| {
            event.is("synack-retransmit") && event.client() == Some(peer.client)
        })?;
        ensure!(
            events[0].listener_cookie() == Some(listener.cookie()),
            "over {family}: another listener in {}",
            events[0]
        );
        ensure!(
            events[0].netns() == Some(wire.netns().inum()),
            "another namespace in {}",
            events[0]
        );
    }
    whydrop.stop()?.summary()?;
    Ok(())
}

#[test]
fn syn_ack_since_the_syn_came_again() -> Result<()> {
    trace(paths::duplicate_syn)
}

/// A host that does not exist: the SYN goes out on the wire and is not answered.
#[test]
fn syn_into_the_void() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Whydrop::start()?;
    let nobody: [IpAddr; 2] = [
        Ipv4Addr::new(10, 99, 0, 77).into(),
        Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 0x77).into(),
    ];
    for address in nobody {
        let client = Client::connect(wire.netns(), SocketAddr::new(address, 7777))?;
        check_retransmit(&whydrop, &wire, &client)?;
    }
    whydrop.stop()?.summary()?;
    Ok(())
}

/// A full listener: the drop and the retransmit that follows are both events,
/// and the client is the same in both.
#[test]
fn syn_to_a_full_listener() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Whydrop::start()?;
    let truth = Truth::begin(wire.netns())?;
    let listener = Listener::new(wire.netns(), Ipv4Addr::LOCALHOST.into(), 1)?;
    let connect = || Client::connect(wire.netns(), listener.address());
    let held = [connect()?, connect()?];
    for client in &held {
        client.outcome()??;
    }
    let refused = connect()?;
    check_retransmit(&whydrop, &wire, &refused)?;
    let address = refused.address()?;
    whydrop.wait_events(2, "overflows", |event| {
        event.is("overflow") && event.client() == Some(address)
    })?;
    drop(refused);
    let stopped = whydrop.stop()?;
    truth.check(wire.netns(), &stopped)
}

fn check_retransmit(whydrop: &Whydrop, wire: &Wire, client: &Client) -> Result<()> {
    let address = client.address()?;
    let inum = wire.netns().inum();
    whydrop.wait_events(1, "retransmits of the client", |event| {
        event.is("retransmit")
            && event.netns() == Some(inum)
            && (event.client() == Some(address) || event.local() == Some(address))
    })?;
    Ok(())
}
