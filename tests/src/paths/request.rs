//! What happens to a request, the half of a connection that waits for its ACK:
//! paths H, N, N3, N4 and O. None of them is a listen drop, though all of them move
//! the listener's `sk_drops`.

use anyhow::Result;

use super::Expected;
use crate::family::Family;
use crate::listener::{Listener, Options};
use crate::wire::Wire;

/// H: TCP_DEFER_ACCEPT drops the bare ACK and waits for data.
pub fn deferred_accept(wire: &Wire, family: Family) -> Result<Expected> {
    let options = Options {
        listen_backlog: 8,
        defer_accept: true,
        ..Options::default()
    };
    let listener = Listener::with(wire.netns(), family.bind(), options)?;
    let mut peer = wire.peer(family, listener.port());
    peer.handshake()?;
    peer.data(b"now")?;
    Ok(Expected::at(listener)
        .counts(&[("TCPDeferAcceptDrop", 1), ("PassiveOpens", 1)])
        .drops(1)
        .event("deferred-accept", "ack", peer.client))
}

/// N: the client resets the connection before it is complete.
pub fn reset_of_request(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, listener.port());
    peer.open()?;
    peer.reset()?;
    Ok(Expected::at(listener)
        .counts(&[("AttemptFails", 1), ("EmbryonicRsts", 1)])
        .drops(1)
        .event("reset-received", "ack", peer.client))
}

/// N: another SYN of the same client, as if it had started again. Both ends
/// lose the connection.
pub fn syn_in_window(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, listener.port());
    peer.open()?;
    peer.syn_in_window()?;
    peer.expect_reset()?;
    Ok(Expected::at(listener)
        .counts(&[("AttemptFails", 1), ("EmbryonicRsts", 1), ("OutRsts", 1)])
        .drops(1)
        .event("reset-received", "ack", peer.client)
        .because("reset-received", "syn-in-window")
        .event("reset-sent", None, peer.client)
        .because("reset-sent", "syn-in-window"))
}

/// N4: a reset in the window that is not for the next byte. Kernels that follow
/// RFC 5961 3.2 ask back and keep the request, the others let it go; which of
/// them is decided by what this one sends.
pub fn reset_in_window(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, listener.port());
    peer.open()?;
    peer.reset_in_window()?;
    let challenged = peer.challenged()?;
    let expected = Expected::at(listener).drops(1);
    if challenged {
        peer.ack()?;
        return Ok(expected.counts(&[("PassiveOpens", 1)]));
    }
    Ok(expected
        .counts(&[("AttemptFails", 1), ("EmbryonicRsts", 1)])
        .event("reset-received", "ack", peer.client))
}

/// N3: an ACK with a sequence number that does not fit is answered, not taken.
pub fn out_of_window_ack(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, listener.port());
    peer.open()?;
    peer.out_of_window_ack()?;
    peer.expect_challenge()?;
    Ok(Expected::at(listener).drops(1).maybe_event(
        "packet-drop",
        "ack",
        "tcp-overwindow",
        peer.client,
    ))
}

/// O: the same SYN again is answered by the same SYN-ACK again.
pub fn duplicate_syn(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, listener.port());
    peer.open()?;
    peer.open()?;
    Ok(Expected::at(listener)
        .counts(&[("TCPSynRetrans", 1), ("RetransSegs", 1)])
        .drops(1)
        .event("synack-retransmit", None, peer.client))
}
