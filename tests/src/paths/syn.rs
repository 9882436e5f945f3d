//! What happens to a SYN at a listener: paths A, E, F and G.

use anyhow::{Result, ensure};

use super::{Expected, fill_accept_queue};
use crate::family::Family;
use crate::listener::Listener;
use crate::peer::Peer;
use crate::wire::Wire;

const SYNCOOKIES: &str = "net/ipv4/tcp_syncookies";

/// A: the accept queue is full. Three clients, one of them twice.
pub fn syn_overflow(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 2)?;
    let opened = fill_accept_queue(wire, family, &listener, 2)?;
    let mut expected = Expected::at(listener)
        .counts(&[
            ("PassiveOpens", opened),
            ("ListenOverflows", 4),
            ("ListenDrops", 4),
        ])
        .drops(4);
    for retransmits in [0, 1, 0] {
        let mut peer = wire.peer(family, expected.listener_port());
        for _ in 0..=retransmits {
            peer.syn()?;
            expected = expected.event("overflow", "syn", peer.client);
        }
        ensure!(!peer.answered()?, "a full listener answered a SYN");
    }
    Ok(expected)
}

/// A with cookies forced: the kernel first wants a cookie, then sees the accept
/// queue and drops the SYN. Both counters move, no cookie is sent.
pub fn both_queues_full(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 2)?;
    let opened = fill_accept_queue(wire, family, &listener, 2)?;
    wire.netns().sysctl(SYNCOOKIES, "2")?;
    let mut peer = wire.peer(family, listener.port());
    peer.syn()?;
    ensure!(!peer.answered()?, "a full listener answered a SYN");
    Ok(Expected::at(listener)
        .counts(&[
            ("PassiveOpens", opened),
            ("ListenOverflows", 1),
            ("ListenDrops", 1),
            ("TCPReqQFullDoCookies", 1),
        ])
        .drops(1)
        .event("overflow", "syn", peer.client))
}

/// E: the SYN queue is full and there are no cookies.
pub fn request_drop(wire: &Wire, family: Family) -> Result<Expected> {
    wire.netns().sysctl(SYNCOOKIES, "0")?;
    let listener = Listener::new(wire.netns(), family.bind(), 3)?;
    let first = fill_syn_queue(wire, family, &listener)?;
    let mut second = wire.peer(family, listener.port());
    second.syn()?;
    ensure!(!second.answered()?, "a full SYN queue took a SYN");
    Ok(Expected::at(listener)
        .counts(&[("TCPReqQFullDrop", 2), ("ListenDrops", 2)])
        .drops(2)
        .event("request-drop", "syn", first.client)
        .event("request-drop", "syn", second.client))
}

/// F with cookies forced: each SYN is answered by a cookie, which is no drop,
/// and each of them makes a connection.
pub fn cookie_forced(wire: &Wire, family: Family) -> Result<Expected> {
    wire.netns().sysctl(SYNCOOKIES, "2")?;
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut expected = Expected::at(listener);
    for _ in 0..2 {
        let mut peer = wire.peer(family, expected.listener_port());
        peer.handshake()?;
        expected = expected.event("cookie-sent", "syn", peer.client);
    }
    Ok(expected
        .counts(&[
            ("TCPReqQFullDoCookies", 2),
            ("SyncookiesSent", 2),
            ("SyncookiesRecv", 2),
            ("PassiveOpens", 2),
        ])
        .because("cookie-sent", "cookies-forced"))
}

/// F as it happens: the SYN queue is full, so the next client gets a cookie.
pub fn cookie_for_full_queue(wire: &Wire, family: Family) -> Result<Expected> {
    wire.netns().sysctl(SYNCOOKIES, "0")?;
    let listener = Listener::new(wire.netns(), family.bind(), 3)?;
    let refused = fill_syn_queue(wire, family, &listener)?;
    wire.netns().sysctl(SYNCOOKIES, "1")?;
    let mut peer = wire.peer(family, listener.port());
    peer.open()?;
    Ok(Expected::at(listener)
        .counts(&[
            ("TCPReqQFullDrop", 1),
            ("ListenDrops", 1),
            ("TCPReqQFullDoCookies", 1),
            ("SyncookiesSent", 1),
        ])
        .drops(1)
        .event("request-drop", "syn", refused.client)
        .event("cookie-sent", "syn", peer.client))
}

/// F': an ACK that claims a cookie which was never sent, while there are some.
pub fn cookie_of_nobody(wire: &Wire, family: Family) -> Result<Expected> {
    wire.netns().sysctl(SYNCOOKIES, "2")?;
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut real = wire.peer(family, listener.port());
    real.open()?;
    let bogus = wire.peer(family, listener.port());
    bogus.ack()?;
    bogus.expect_reset()?;
    Ok(Expected::at(listener)
        .counts(&[
            ("TCPReqQFullDoCookies", 1),
            ("SyncookiesSent", 1),
            ("SyncookiesFailed", 1),
            ("OutRsts", 1),
        ])
        .event("cookie-sent", "syn", real.client)
        .because("cookie-sent", "cookies-forced")
        .event("reset-sent", None, bogus.client))
}

/// G: without cookies the last quarter of `tcp_max_syn_backlog` is kept for
/// clients that have proven themselves before.
pub fn quarter_rule(wire: &Wire, family: Family) -> Result<Expected> {
    const MAX_SYN_BACKLOG: u32 = 8;
    let netns = wire.netns();
    netns.sysctl(SYNCOOKIES, "0")?;
    netns.sysctl("net/ipv4/tcp_max_syn_backlog", &MAX_SYN_BACKLOG.to_string())?;
    let listener = Listener::new(netns, family.bind(), 64)?;
    // Refused as soon as fewer than 8/4 places are left: with 7 requests there.
    for _ in 0..MAX_SYN_BACKLOG - 1 {
        wire.peer(family, listener.port()).open()?;
    }
    let mut peer = wire.peer(family, listener.port());
    peer.syn()?;
    ensure!(
        !peer.answered()?,
        "the last quarter of the SYN queue was given away"
    );
    Ok(Expected::at(listener)
        .counts(&[("ListenDrops", 1)])
        .drops(1)
        .event("listen-drop", "syn", peer.client))
}

/// Sends SYNs until one is refused, and returns that one's sender. How many it
/// takes differs by one between 5.10 (`>=`) and later kernels (`>`).
fn fill_syn_queue<'wire>(
    wire: &'wire Wire,
    family: Family,
    listener: &Listener,
) -> Result<Peer<'wire>> {
    for _ in 0..64 {
        let mut peer = wire.peer(family, listener.port());
        peer.syn()?;
        if !peer.answered()? {
            return Ok(peer);
        }
    }
    anyhow::bail!(
        "the SYN queue of the listener on port {} does not fill up",
        listener.port()
    )
}
