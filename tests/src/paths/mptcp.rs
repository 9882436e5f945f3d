//! Clients without MPTCP at a listener with it: paths A and B, decided in the
//! TCP socket inside of the MPTCP one, whose address it has.

use anyhow::{Result, ensure};

use super::{Expected, fill_accept_queue};
use crate::family::Family;
use crate::listener::{Listener, MPTCP, MPTCP_SINCE, Options, has_mptcp};
use crate::wire::Wire;

const LISTEN_BACKLOG: u16 = 2;

/// A: the SYN of one client too many.
pub fn mptcp_syn_overflow(wire: &Wire, family: Family) -> Result<Expected> {
    let Some(listener) = mptcp_listener(wire, family)? else {
        return Expected::impossible(MPTCP, MPTCP_SINCE);
    };
    let opened = fill_accept_queue(wire, family, &listener, LISTEN_BACKLOG.into())?;
    let mut peer = wire.peer(family, listener.port());
    peer.syn()?;
    ensure!(!peer.answered()?, "a full listener answered a SYN");
    Ok(overflow(listener, opened).event("overflow", "syn", peer.client))
}

/// B: the ACK of a client whose SYN was taken before the queue was full.
pub fn mptcp_ack_overflow(wire: &Wire, family: Family) -> Result<Expected> {
    let Some(listener) = mptcp_listener(wire, family)? else {
        return Expected::impossible(MPTCP, MPTCP_SINCE);
    };
    let mut late = wire.peer(family, listener.port());
    late.open()?;
    let opened = fill_accept_queue(wire, family, &listener, LISTEN_BACKLOG.into())?;
    late.ack()?;
    Ok(overflow(listener, opened).event("overflow", "ack", late.client))
}

/// `None` if the kernel cannot.
fn mptcp_listener(wire: &Wire, family: Family) -> Result<Option<Listener>> {
    if !has_mptcp(wire.netns())? {
        return Ok(None);
    }
    let options = Options {
        listen_backlog: LISTEN_BACKLOG.into(),
        mptcp: true,
        ..Options::default()
    };
    Listener::with(wire.netns(), family.bind(), options).map(Some)
}

fn overflow(listener: Listener, opened: u64) -> Expected {
    Expected::at(listener).counts(&[
        ("PassiveOpens", opened),
        ("ListenOverflows", 1),
        ("ListenDrops", 1),
    ])
}
