//! What is answered by a reset, or dropped where one would be expected: paths
//! I, J, K, M and their variants.
//!
//! Up to 6.1 a reset without a socket (J, K) does not reach the tracepoint
//! `tcp_send_reset`, so no event is expected for those.

use anyhow::Result;

use super::Expected;
use crate::family::Family;
use crate::listener::Listener;
use crate::segment::{ACK, FIN, RST, SYN};
use crate::wire::Wire;

/// I: the listener is closed with three connections that nobody accepted.
pub fn closed_listener_resets(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peers = Vec::new();
    for _ in 0..3 {
        let mut peer = wire.peer(family, listener.port());
        peer.handshake()?;
        peers.push(peer);
    }
    drop(listener);
    let mut expected =
        Expected::default().counts(&[("PassiveOpens", 3), ("OutRsts", 3), ("EstabResets", 3)]);
    for peer in peers {
        peer.expect_reset()?;
        expected = expected.event("reset-sent", None, peer.client);
    }
    Ok(expected)
}

/// J: the listener is closed while a client's ACK is on its way.
pub fn listener_gone(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, listener.port());
    peer.open()?;
    drop(listener);
    peer.ack()?;
    peer.expect_reset()?;
    Ok(Expected::default().counts(&[("OutRsts", 1)]))
}

/// K: nobody listens on that port.
pub fn no_listener(wire: &Wire, family: Family) -> Result<Expected> {
    let closed = Listener::new(wire.netns(), family.bind(), 8)?.port();
    let peer = wire.peer(family, closed);
    peer.syn()?;
    peer.expect_reset()?;
    Ok(Expected::default().counts(&[("OutRsts", 1)]))
}

/// K: somebody does, but on another address of this host.
pub fn other_address(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.loopback(), 8)?;
    let peer = wire.peer(family, listener.port());
    peer.syn()?;
    peer.expect_reset()?;
    Ok(Expected::at(listener).counts(&[("OutRsts", 1)]))
}

/// M: an ACK of a connection that the listener does not know.
pub fn stray_ack(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let peer = wire.peer(family, listener.port());
    peer.stray(ACK)?;
    peer.expect_reset()?;
    Ok(Expected::at(listener)
        .counts(&[("OutRsts", 1)])
        .event("reset-sent", None, peer.client))
}

/// M2: what a listener drops without an answer: a reset, a SYN with FIN, and
/// a segment without any flag.
pub fn stray_reset(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    for flags in [RST, SYN | FIN, 0] {
        wire.peer(family, listener.port()).stray(flags)?;
    }
    Ok(Expected::at(listener).drops(3))
}

/// N2: an ACK for a request, but of something that was never sent.
pub fn wrong_ack(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, listener.port());
    peer.open()?;
    peer.bad_ack()?;
    peer.expect_reset()?;
    Ok(Expected::at(listener)
        .counts(&[("OutRsts", 1)])
        .event("reset-sent", None, peer.client))
}
