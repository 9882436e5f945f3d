//! What a listener answers by a reset, or drops where one would be expected:
//! paths I, M and their variants, and the reset of an accepted connection.

use anyhow::Result;

use super::Expected;
use crate::family::Family;
use crate::listener::Listener;
use crate::peer::Peer;
use crate::segment::{ACK, FIN, RST, SYN};
use crate::wire::Wire;

/// I: the listener is closed with three connections that nobody accepted.
pub fn closed_listener_resets(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let peers = queue_three(wire, family, &listener)?;
    queue_is_reset(Expected::closing(listener), peers)
}

/// AB: as I, but nobody has closed it: it was destroyed from outside.
pub fn destroyed_listener_resets(wire: &Wire, family: Family) -> Result<Expected> {
    let spare = Listener::new(wire.netns(), family.bind(), 8)?;
    if !spare.destroy(wire.netns())? {
        return Expected::impossible("SOCK_DESTROY (CONFIG_INET_DIAG_DESTROY)", (4, 5));
    }
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let peers = queue_three(wire, family, &listener)?;
    listener.destroy(wire.netns())?;
    queue_is_reset(Expected::closing(listener), peers)
}

/// The server closes an accepted connection and has not read what came. Who has
/// opened such a connection is no longer known.
pub fn closed_unread(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, listener.port());
    peer.handshake()?;
    let accepted = listener.accept_soon()?;
    peer.data(b"unread")?;
    drop(accepted);
    peer.expect_reset()?;
    Ok(Expected::at(listener)
        .counts(&[
            ("PassiveOpens", 1),
            ("EstabResets", 1),
            ("OutRsts", 1),
            ("TCPAbortOnClose", 1),
        ])
        .event("reset-sent", None, None)
        .because("reset-sent", "application"))
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
    let mut expected = Expected::at(listener).drops(3);
    for (flags, stage, reason) in [
        (RST, "ack", "tcp-reset"),
        (SYN | FIN, "syn", "tcp-flags"),
        (0, "ack", "tcp-flags"),
    ] {
        let peer = wire.peer(family, expected.listener_port());
        peer.stray(flags)?;
        expected = expected.maybe_event("packet-drop", stage, reason, peer.client);
    }
    Ok(expected)
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

/// Connections that nobody accepts.
fn queue_three<'wire>(
    wire: &'wire Wire,
    family: Family,
    listener: &Listener,
) -> Result<Vec<Peer<'wire>>> {
    let mut peers = Vec::new();
    for _ in 0..3 {
        let mut peer = wire.peer(family, listener.port());
        peer.handshake()?;
        peers.push(peer);
    }
    Ok(peers)
}

fn queue_is_reset(expected: Expected, peers: Vec<Peer<'_>>) -> Result<Expected> {
    expected
        .counts(&[("PassiveOpens", 3), ("OutRsts", 3), ("EstabResets", 3)])
        .event("listener-closed", None, None)
        .resets(&peers)
}
