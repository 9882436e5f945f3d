//! What finds no listener and is answered by a reset: paths J and K.
//!
//! Up to 6.1 such a reset does not reach the tracepoint `tcp_send_reset`, since
//! it belongs to no socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use super::Expected;
use crate::family::Family;
use crate::listener::{Listener, Options, unused_port};
use crate::netns::Netns;
use crate::wire::Wire;

/// J: the listener is closed while a client's ACK is on its way.
pub fn listener_gone(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, listener.port());
    peer.open()?;
    let expected = Expected::closing(listener);
    peer.ack()?;
    peer.expect_reset()?;
    Ok(expected
        .counts(&[("OutRsts", 1)])
        .event("refused", "ack", peer.client)
        .because("refused", "listener-closed"))
}

/// J': as J, but somebody else listens on that port by then.
pub fn another_listener_by_then(wire: &Wire, family: Family) -> Result<Expected> {
    let first = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, first.port());
    peer.open()?;
    let options = Options {
        port: first.port(),
        listen_backlog: 8,
        ..Options::default()
    };
    drop(first);
    let second = Listener::with(wire.netns(), family.bind(), options)?;
    peer.ack()?;
    peer.expect_reset()?;
    Ok(Expected::at(second)
        .counts(&[("OutRsts", 1)])
        .event("reset-sent", None, peer.client))
}

/// K: nobody listens on that port, and nobody ever has.
pub fn no_listener(wire: &Wire, family: Family) -> Result<Expected> {
    let unused = unused_port(wire.netns(), family.bind())?;
    refused(wire, family, unused, Expected::default())
}

/// K: somebody did until a moment ago.
pub fn listener_just_closed(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let port = listener.port();
    let expected = refused(wire, family, port, Expected::closing(listener))?;
    Ok(expected.because("refused", "listener-closed"))
}

/// K: somebody does, but on another address of this host.
pub fn other_address(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.loopback(), 8)?;
    refused_beside(wire, family, listener)
}

/// K: somebody does, but only over the other of IPv4 and IPv6.
pub fn other_family(wire: &Wire, family: Family) -> Result<Expected> {
    let address: IpAddr = match family {
        Family::V4 | Family::Mapped => Ipv6Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv4Addr::UNSPECIFIED.into(),
    };
    let options = Options {
        listen_backlog: 8,
        v6_only: true,
        ..Options::default()
    };
    let listener = Listener::with(wire.netns(), address, options)?;
    refused_beside(wire, family, listener)
}

/// K: somebody does, on all addresses, but only through another device.
pub fn other_device(wire: &Wire, family: Family) -> Result<Expected> {
    let options = Options {
        listen_backlog: 8,
        device: Some("lo"),
        ..Options::default()
    };
    let listener = Listener::with(wire.netns(), wildcard(family), options)?;
    let expected = refused_beside(wire, family, listener)?;
    Ok(expected.because("refused", "listener-on-other-device"))
}

/// K: somebody does, but in another namespace, on all of its addresses.
pub fn other_namespace(wire: &Wire, family: Family) -> Result<Expected> {
    let unused = unused_port(wire.netns(), family.bind())?;
    let options = Options {
        port: unused,
        listen_backlog: 8,
        ..Options::default()
    };
    let other = Netns::new()?;
    let listener = Listener::with(&other, wildcard(family), options)?;
    let expected = Expected::default().elsewhere(other, listener);
    let expected = refused(wire, family, unused, expected)?;
    Ok(expected.because("refused", "listener-in-other-namespace"))
}

/// A SYN to the port of a listener which is not the one it asks for.
fn refused_beside(wire: &Wire, family: Family, listener: Listener) -> Result<Expected> {
    let port = listener.port();
    let expected = refused(wire, family, port, Expected::at(listener))?;
    Ok(expected.because("refused", "listener-on-other-address"))
}

fn refused(wire: &Wire, family: Family, port: u16, expected: Expected) -> Result<Expected> {
    let peer = wire.peer(family, port);
    peer.syn()?;
    peer.expect_reset()?;
    Ok(expected
        .counts(&[("OutRsts", 1)])
        .event("refused", "syn", peer.client))
}

/// All addresses that clients of this family can ask for.
fn wildcard(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 | Family::Mapped => Ipv6Addr::UNSPECIFIED.into(),
    }
}
