//! The ways in which a listener drops, refuses or resets a connection, each
//! injected packet by packet: the paths of kernel.md 1.2, by the same letters.
//! A path says what it must have moved in the kernel and what whydrop must have
//! said about it, and keeps the listener open so that both can be looked up.

mod ack;
mod request;
mod reset;
mod syn;

use std::net::{SocketAddr, TcpStream};

use anyhow::{Result, ensure};

pub use ack::{
    abort_on_overflow, ack_overflow, cookie_ack_overflow, data_on_overflow, late_accept,
};
pub use request::{deferred_accept, duplicate_syn, out_of_window_ack, reset_of_request};
pub use reset::{
    closed_listener_resets, listener_gone, no_listener, other_address, stray_ack, stray_reset,
    wrong_ack,
};
pub use syn::{
    both_queues_full, cookie_for_full_queue, cookie_forced, cookie_of_nobody, quarter_rule,
    request_drop, syn_overflow,
};

use crate::deadline;
use crate::family::Family;
use crate::listener::Listener;
use crate::netstat::Counters;
use crate::wire::Wire;

/// Every path here is a function of this shape.
pub type Path = fn(&Wire, Family) -> Result<Expected>;

/// All of them, with the letter of kernel.md and a name for messages.
pub const ALL: [(&str, Path); 25] = [
    ("A syn_overflow", syn_overflow),
    ("A both_queues_full", both_queues_full),
    ("B ack_overflow", ack_overflow),
    ("B data_on_overflow", data_on_overflow),
    ("B' late_accept", late_accept),
    ("C abort_on_overflow", abort_on_overflow),
    ("D cookie_ack_overflow", cookie_ack_overflow),
    ("E request_drop", request_drop),
    ("F cookie_forced", cookie_forced),
    ("F cookie_for_full_queue", cookie_for_full_queue),
    ("F' cookie_of_nobody", cookie_of_nobody),
    ("G quarter_rule", quarter_rule),
    ("H deferred_accept", deferred_accept),
    ("I closed_listener_resets", closed_listener_resets),
    ("J listener_gone", listener_gone),
    ("K no_listener", no_listener),
    ("K other_address", other_address),
    ("M stray_ack", stray_ack),
    ("M2 stray_reset", stray_reset),
    ("N reset_of_request", reset_of_request),
    ("N2 wrong_ack", wrong_ack),
    ("N3 out_of_window_ack", out_of_window_ack),
    ("O duplicate_syn", duplicate_syn),
    ("healthy", healthy),
    ("row 9 zero_backlog", zero_backlog),
];

/// These must not have moved unless a path says so.
const WATCHED: [&str; 15] = [
    "ListenOverflows",
    "ListenDrops",
    "TCPReqQFullDrop",
    "TCPReqQFullDoCookies",
    "SyncookiesSent",
    "SyncookiesRecv",
    "EmbryonicRsts",
    "TCPDeferAcceptDrop",
    "TCPFastOpenListenOverflow",
    "TCPMigrateReqSuccess",
    "TCPMigrateReqFailure",
    "PassiveOpens",
    "AttemptFails",
    "EstabResets",
    "OutRsts",
];

/// Timers move the first two as well, so only a minimum can be expected. The
/// third also moves for a listener that never overflowed in the two minutes
/// after jiffies pass 0, which is 5 minutes after boot: its mark of the last
/// overflow is 0 (include/net/tcp.h:tcp_synq_no_recent_overflow; seen on 6.12).
const AT_LEAST: [&str; 3] = ["TCPSynRetrans", "RetransSegs", "SyncookiesFailed"];

#[derive(Debug, PartialEq)]
pub struct ExpectedEvent {
    pub kind: &'static str,
    pub stage: Option<&'static str>,
    /// `None` for retransmits and resets.
    pub cause: Option<&'static str>,
    pub client: SocketAddr,
}

/// The usual cause; a path that is about another one says so with `because`.
fn usual_cause(kind: &str, stage: Option<&str>) -> Option<&'static str> {
    match (kind, stage) {
        ("overflow", Some("cookie-ack")) => Some("ghost-connection"),
        ("overflow", _) => Some("accept-queue-full"),
        ("request-drop" | "cookie-sent", _) => Some("syn-queue-full"),
        ("listen-drop", _) => Some("max-syn-backlog"),
        _ => None,
    }
}

#[derive(Default)]
pub struct Expected {
    counters: Vec<(&'static str, u64)>,
    /// Of the listener's `sk_drops`.
    drops: u32,
    /// What whydrop says, in this order per client.
    pub events: Vec<ExpectedEvent>,
    pub listener: Option<Listener>,
    /// Accepted connections that must not be closed yet.
    kept: Vec<TcpStream>,
}

impl Expected {
    fn at(listener: Listener) -> Self {
        Self {
            listener: Some(listener),
            ..Self::default()
        }
    }

    fn counts(mut self, counters: &[(&'static str, u64)]) -> Self {
        self.counters.extend(counters);
        self
    }

    fn drops(mut self, drops: u32) -> Self {
        self.drops = drops;
        self
    }

    fn event(
        mut self,
        kind: &'static str,
        stage: impl Into<Option<&'static str>>,
        client: SocketAddr,
    ) -> Self {
        let stage = stage.into();
        self.events.push(ExpectedEvent {
            kind,
            stage,
            cause: usual_cause(kind, stage),
            client,
        });
        self
    }

    /// The cause of the events of a kind so far.
    fn because(mut self, kind: &str, cause: &'static str) -> Self {
        for event in &mut self.events {
            if event.kind == kind {
                event.cause = Some(cause);
            }
        }
        self
    }

    fn keeping(mut self, streams: impl IntoIterator<Item = TcpStream>) -> Self {
        self.kept.extend(streams);
        self
    }

    fn listener_port(&self) -> u16 {
        self.listener.as_ref().map_or(0, Listener::port)
    }

    pub fn counter(&self, name: &str) -> u64 {
        self.counters
            .iter()
            .filter(|(expected, _)| *expected == name)
            .map(|(_, by)| by)
            .sum()
    }

    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.events.iter().map(|event| event.kind)
    }

    /// Whether the kernel counted exactly this since `before`, and nothing else.
    pub fn check(&self, wire: &Wire, before: &Counters) -> Result<()> {
        wire.barrier()?;
        let moved = wire.netns().counters()?.since(before);
        for name in WATCHED {
            let (expected, got) = (self.counter(name), moved.get(name));
            ensure!(
                got == expected,
                "{name} moved by {got}, expected {expected}; all that moved: {moved:?}"
            );
        }
        for name in AT_LEAST {
            let (expected, got) = (self.counter(name), moved.get(name));
            ensure!(
                got >= expected,
                "{name} moved by {got}, expected at least {expected}"
            );
        }
        if let Some(listener) = &self.listener {
            let drops = listener.drops()?;
            ensure!(
                drops == self.drops,
                "sk_drops of the listener is {drops}, expected {}",
                self.drops
            );
        }
        Ok(())
    }
}

/// A listener that has room: three connections, accepted, served and closed.
pub fn healthy(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    for _ in 0..3 {
        let mut peer = wire.peer(family, listener.port());
        peer.handshake()?;
        let mut accepted = None;
        deadline::wait_until("a connection to accept", deadline::soon(), || {
            accepted = listener.accept()?;
            Ok(accepted.is_some())
        })?;
        peer.fin()?;
        drop(accepted);
        peer.expect_fin()?;
    }
    Ok(Expected::at(listener).counts(&[("PassiveOpens", 3)]))
}

/// listen(2) with a backlog of 0 holds one connection, and with cookies on a
/// second SYN while it is there is refused for both queues or for one of them,
/// depending on the kernel's idea of a full SYN queue. So: one, then another.
pub fn zero_backlog(wire: &Wire, family: Family) -> Result<Expected> {
    wire.netns().sysctl("net/ipv4/tcp_syncookies", "0")?;
    let listener = Listener::new(wire.netns(), family.bind(), 0)?;
    // 5.10 calls an empty SYN queue of limit 0 full (`>=`); later ones do not.
    let mut first = wire.peer(family, listener.port());
    first.syn()?;
    if !first.answered()? {
        let client = first.client;
        return Ok(Expected::at(listener)
            .counts(&[("TCPReqQFullDrop", 1), ("ListenDrops", 1)])
            .drops(1)
            .event("request-drop", "syn", client));
    }
    first.ack()?;
    let second = wire.peer(family, listener.port());
    second.syn()?;
    let client = second.client;
    Ok(Expected::at(listener)
        .counts(&[
            ("PassiveOpens", 1),
            ("ListenOverflows", 1),
            ("ListenDrops", 1),
        ])
        .drops(1)
        .event("overflow", "syn", client))
}

/// Completes as many handshakes as the accept queue holds.
fn fill_accept_queue(
    wire: &Wire,
    family: Family,
    listener: &Listener,
    listen_backlog: u64,
) -> Result<u64> {
    let held = listen_backlog + 1;
    for _ in 0..held {
        wire.peer(family, listener.port()).handshake()?;
    }
    Ok(held)
}
