//! A SYN from the port of a connection that the server has closed and remembers
//! in TIME_WAIT: no listener sees it, or path A.

use anyhow::{Result, ensure};

use super::Expected;
use crate::family::Family;
use crate::listener::Listener;
use crate::peer::Peer;
use crate::wire::Wire;

/// The connection before reaches no further than this.
const BEYOND: u32 = 100_000;

/// The SYN could be an old one: it is answered by an ACK of the old connection,
/// and no listener is asked.
pub fn old_syn_in_time_wait(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, listener.port());
    enter_time_wait(&listener, &mut peer)?;
    peer.syn()?;
    peer.expect_ack_of_fin()?;
    Ok(Expected::at(listener).counts(&[("PassiveOpens", 1)]))
}

/// The SYN is beyond all that was sent: a new connection from the same port.
pub fn new_syn_in_time_wait(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, listener.port());
    enter_time_wait(&listener, &mut peer)?;
    peer.isn = peer.isn.wrapping_add(BEYOND);
    peer.handshake()?;
    Ok(Expected::at(listener).counts(&[("PassiveOpens", 2)]))
}

/// A: the same while the accept queue is full.
pub fn time_wait_overflow(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 2)?;
    let mut peer = wire.peer(family, listener.port());
    enter_time_wait(&listener, &mut peer)?;
    let opened = super::fill_accept_queue(wire, family, &listener, 2)?;
    peer.isn = peer.isn.wrapping_add(BEYOND);
    peer.syn()?;
    ensure!(!peer.answered()?, "a full listener answered a SYN");
    Ok(Expected::at(listener)
        .counts(&[
            ("PassiveOpens", 1 + opened),
            ("ListenOverflows", 1),
            ("ListenDrops", 1),
        ])
        .drops(1)
        .event("overflow", "syn", peer.client))
}

/// A connection from beginning to end, which the server closes first.
fn enter_time_wait(listener: &Listener, peer: &mut Peer<'_>) -> Result<()> {
    peer.handshake()?;
    drop(listener.accept_soon()?);
    peer.expect_fin()?;
    peer.fin_after_fin()?;
    peer.expect_ack_of_fin()?;
    Ok(())
}
