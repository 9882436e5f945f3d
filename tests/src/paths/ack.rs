//! What happens to the ACK that ends a handshake when the accept queue is full:
//! paths B, C and D.

use anyhow::{Result, ensure};

use super::Expected;
use crate::family::Family;
use crate::listener::Listener;
use crate::peer::Peer;
use crate::wire::Wire;

/// The queue of these holds three.
const LISTEN_BACKLOG: i32 = 2;

/// B: the client believes it is connected, the request stays.
pub fn ack_overflow(wire: &Wire, family: Family) -> Result<Expected> {
    let (listener, late) = one_too_many(wire, family)?;
    late.ack()?;
    Ok(Expected::at(listener)
        .counts(&[
            ("PassiveOpens", 3),
            ("ListenOverflows", 1),
            ("ListenDrops", 1),
        ])
        .drops(2)
        .event("overflow", "ack", late.client))
}

/// B again with each further segment: the ACK twice, data, and a FIN.
pub fn data_on_overflow(wire: &Wire, family: Family) -> Result<Expected> {
    let (listener, late) = one_too_many(wire, family)?;
    late.ack()?;
    late.ack()?;
    late.data(b"GET / HTTP/1.0\r\n\r\n")?;
    late.fin()?;
    let expected = Expected::at(listener)
        .counts(&[
            ("PassiveOpens", 3),
            ("ListenOverflows", 4),
            ("ListenDrops", 4),
        ])
        .drops(8);
    Ok((0..4).fold(expected, |expected, _| {
        expected.event("overflow", "ack", late.client)
    }))
}

/// B': a place becomes free, and the next segment of the client makes the
/// connection after all.
pub fn late_accept(wire: &Wire, family: Family) -> Result<Expected> {
    let (listener, late) = one_too_many(wire, family)?;
    late.ack()?;
    let first = listener.accept()?;
    ensure!(first.is_some(), "nothing to accept from a full queue");
    late.data(b"hello")?;
    Ok(Expected::at(listener)
        .counts(&[
            ("PassiveOpens", 4),
            ("ListenOverflows", 1),
            ("ListenDrops", 1),
        ])
        .drops(2)
        .keeping(first)
        .event("overflow", "ack", late.client))
}

/// C: as B, but the client is told.
pub fn abort_on_overflow(wire: &Wire, family: Family) -> Result<Expected> {
    wire.netns().sysctl("net/ipv4/tcp_abort_on_overflow", "1")?;
    let (listener, late) = one_too_many(wire, family)?;
    late.ack()?;
    late.expect_reset()?;
    Ok(Expected::at(listener)
        .counts(&[
            ("PassiveOpens", 3),
            ("ListenOverflows", 1),
            ("ListenDrops", 1),
            ("EmbryonicRsts", 1),
            ("OutRsts", 1),
        ])
        .drops(2)
        .event("overflow", "ack", late.client)
        .because("overflow", "abort-on-overflow")
        .event("reset-sent", None, late.client)
        .because("reset-sent", "abort-on-overflow"))
}

/// D: the ACK of a cookie handshake. Nothing of the client is left on the
/// server, and each further segment is refused in the same way.
pub fn cookie_ack_overflow(wire: &Wire, family: Family) -> Result<Expected> {
    let netns = wire.netns();
    netns.sysctl("net/ipv4/tcp_syncookies", "2")?;
    // Ignored for cookies: no reset is sent even so.
    netns.sysctl("net/ipv4/tcp_abort_on_overflow", "1")?;
    let listener = Listener::new(netns, family.bind(), LISTEN_BACKLOG)?;
    let mut peers: Vec<Peer<'_>> = (0..4).map(|_| wire.peer(family, listener.port())).collect();
    let mut expected = Expected::at(listener);
    for peer in &mut peers {
        peer.open()?;
        expected = expected.event("cookie-sent", "syn", peer.client);
    }
    for peer in &peers {
        peer.ack()?;
    }
    let ghost = &peers[3];
    ghost.data(b"anyone there?")?;
    Ok(expected
        .counts(&[
            ("TCPReqQFullDoCookies", 4),
            ("SyncookiesSent", 4),
            ("SyncookiesRecv", 5),
            ("PassiveOpens", 3),
            ("ListenOverflows", 2),
            ("ListenDrops", 2),
        ])
        .drops(2)
        .event("overflow", "cookie-ack", ghost.client)
        .event("overflow", "cookie-ack", ghost.client)
        .because("cookie-sent", "cookies-forced"))
}

/// A full accept queue, and a client whose SYN was taken before it was full.
/// Two requests wait at most, since 5.10 calls a SYN queue of limit 2 full then.
pub fn one_too_many(wire: &Wire, family: Family) -> Result<(Listener, Peer<'_>)> {
    let listener = Listener::new(wire.netns(), family.bind(), LISTEN_BACKLOG)?;
    for _ in 0..2 {
        wire.peer(family, listener.port()).handshake()?;
    }
    let mut last = wire.peer(family, listener.port());
    let mut late = wire.peer(family, listener.port());
    last.open()?;
    late.open()?;
    last.ack()?;
    Ok((listener, late))
}
