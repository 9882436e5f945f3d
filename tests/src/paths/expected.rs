//! What a path must have moved in the kernel, and what whydrop must say about
//! it.

use std::any::Any;
use std::net::SocketAddr;

use anyhow::{Result, ensure};

use crate::listener::Listener;
use crate::netns::Netns;
use crate::netstat::Counters;
use crate::peer::Peer;
use crate::skip::lacks;
use crate::wire::Wire;

/// These must not have moved unless a path says so.
const WATCHED: [&str; 22] = [
    "ListenOverflows",
    "ListenDrops",
    "TCPReqQFullDrop",
    "TCPReqQFullDoCookies",
    "SyncookiesSent",
    "SyncookiesRecv",
    "EmbryonicRsts",
    "TCPDeferAcceptDrop",
    "TCPFastOpenPassive",
    "TCPFastOpenListenOverflow",
    "TCPMigrateReqSuccess",
    "TCPMigrateReqFailure",
    "TCPMD5NotFound",
    "TCPMD5Unexpected",
    "TCPMD5Failure",
    "TCPMinTTLDrop",
    "OutOfWindowIcmps",
    "PassiveOpens",
    "AttemptFails",
    "EstabResets",
    "OutRsts",
    "TCPAbortOnClose",
];

/// Timers move these as well, so only a minimum can be expected. The last also
/// moves for a listener that never overflowed in the two minutes after jiffies
/// pass 0, which is 5 minutes after boot: its mark of the last overflow is 0
/// (include/net/tcp.h:tcp_synq_no_recent_overflow; seen on 6.12).
const AT_LEAST: [&str; 4] = [
    "TCPSynRetrans",
    "RetransSegs",
    "TCPTimeouts",
    "SyncookiesFailed",
];

#[derive(Debug, PartialEq)]
pub struct ExpectedEvent {
    pub kind: &'static str,
    pub stage: Option<&'static str>,
    /// `None` for retransmits.
    pub cause: Option<&'static str>,
    /// `None` for what happens to a listener as a whole.
    pub client: Option<SocketAddr>,
    /// Only some kernels let it be seen.
    pub optional: bool,
}

impl ExpectedEvent {
    /// Whether a whydrop that is blind for these kinds and causes must say it.
    pub fn is_due(&self, blind: &[String]) -> bool {
        let is_blind_for = |name: &str| blind.iter().any(|blind| blind == name);
        !self.optional && !is_blind_for(self.kind) && !self.cause.is_some_and(is_blind_for)
    }
}

/// The usual cause; a path that is about another one says so with `because`.
fn usual_cause(kind: &str, stage: Option<&str>) -> Option<&'static str> {
    match (kind, stage) {
        ("overflow", Some("cookie-ack")) => Some("ghost-connection"),
        ("overflow", _) => Some("accept-queue-full"),
        ("request-drop" | "cookie-sent", _) => Some("syn-queue-full"),
        ("listen-drop", Some("icmp")) => Some("icmp-error"),
        ("listen-drop", _) => Some("max-syn-backlog"),
        ("refused", _) => Some("no-listener"),
        ("listener-closed", _) => Some("queued-connections-reset"),
        ("reset-sent", _) => Some("unknown-ack"),
        ("reset-received", Some("ack")) => Some("reset-by-client"),
        ("request-expired", _) => Some("no-ack"),
        ("deferred-accept", _) => Some("defer-accept"),
        ("fast-open-full", _) => Some("fast-open-queue-full"),
        _ => None,
    }
}

/// A listener that is gone, as events about it must name it.
#[derive(Debug, PartialEq)]
pub struct Closed {
    pub cookie: u64,
    pub address: SocketAddr,
}

/// A listener in another namespace that stays open.
pub struct Elsewhere {
    pub netns: Netns,
    pub listener: Listener,
}

#[derive(Default)]
pub struct Expected {
    counters: Vec<(&'static str, u64)>,
    /// Of the listener's `sk_drops`.
    drops: u32,
    /// What whydrop says, in this order per client.
    pub events: Vec<ExpectedEvent>,
    pub listener: Option<Listener>,
    pub closed: Option<Closed>,
    pub elsewhere: Option<Elsewhere>,
    /// Why this kernel, being older than what the path needs, cannot take it; nothing has moved then.
    pub impossible: Option<String>,
    /// What must not be closed yet, accepted connections for one.
    kept: Vec<Box<dyn Any>>,
}

impl Expected {
    pub(super) fn at(listener: Listener) -> Self {
        Self {
            listener: Some(listener),
            ..Self::default()
        }
    }

    /// Closes the listener, and remembers which one it was.
    pub(super) fn closing(listener: Listener) -> Self {
        Self::default().close(listener)
    }

    /// Of a kernel that has no such thing and is older than this; any other must have it.
    pub(super) fn impossible(what: &str, since: (u32, u32)) -> Result<Self> {
        Ok(Self {
            impossible: Some(lacks(what, since)?),
            ..Self::default()
        })
    }

    pub(super) fn close(mut self, listener: Listener) -> Self {
        self.closed = Some(Closed {
            cookie: listener.cookie(),
            address: listener.address(),
        });
        drop(listener);
        self
    }

    pub(super) fn elsewhere(mut self, netns: Netns, listener: Listener) -> Self {
        self.elsewhere = Some(Elsewhere { netns, listener });
        self
    }

    pub(super) fn counts(mut self, counters: &[(&'static str, u64)]) -> Self {
        self.counters.extend(counters);
        self
    }

    pub(super) fn drops(mut self, drops: u32) -> Self {
        self.drops = drops;
        self
    }

    pub(super) fn event(
        mut self,
        kind: &'static str,
        stage: impl Into<Option<&'static str>>,
        client: impl Into<Option<SocketAddr>>,
    ) -> Self {
        let stage = stage.into();
        self.events.push(ExpectedEvent {
            kind,
            stage,
            cause: usual_cause(kind, stage),
            client: client.into(),
            optional: false,
        });
        self
    }

    /// Each of them hears that its connection is gone with its listener.
    pub(super) fn resets(mut self, peers: &[Peer<'_>]) -> Result<Self> {
        for peer in peers {
            peer.expect_reset()?;
            self = self.event("reset-sent", None, peer.client);
        }
        Ok(self.because("reset-sent", "listener-closed"))
    }

    /// An event that only some kernels let be seen.
    pub(super) fn maybe_event(
        mut self,
        kind: &'static str,
        stage: &'static str,
        cause: &'static str,
        client: SocketAddr,
    ) -> Self {
        self.events.push(ExpectedEvent {
            kind,
            stage: Some(stage),
            cause: Some(cause),
            client: Some(client),
            optional: true,
        });
        self
    }

    /// The listener that is there in the end.
    pub(super) fn with(mut self, listener: Listener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// The cause of the events of a kind so far.
    pub(super) fn because(mut self, kind: &str, cause: &'static str) -> Self {
        for event in &mut self.events {
            if event.kind == kind {
                event.cause = Some(cause);
            }
        }
        self
    }

    pub(super) fn keeping<T: 'static>(mut self, things: impl IntoIterator<Item = T>) -> Self {
        let things = things.into_iter().map(|thing| Box::new(thing) as _);
        self.kept.extend(things);
        self
    }

    pub fn listener_port(&self) -> u16 {
        self.listener.as_ref().map_or(0, Listener::port)
    }

    pub fn counter(&self, name: &str) -> u64 {
        self.counters
            .iter()
            .filter(|(expected, _)| *expected == name)
            .map(|(_, by)| by)
            .sum()
    }

    /// Whether the kernel counted exactly this since `before`, and nothing else.
    pub fn check(&self, wire: &Wire, before: &Counters) -> Result<()> {
        wire.barrier()?;
        let moved = wire.netns().counters()?.since(before);
        self.check_names()?;
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
        self.check_drops()
    }

    /// A counter that nobody looks at would be expected in vain.
    fn check_names(&self) -> Result<()> {
        for (name, _) in &self.counters {
            let known = WATCHED.contains(name) || AT_LEAST.contains(name);
            ensure!(known, "nobody watches {name}");
        }
        Ok(())
    }

    fn check_drops(&self) -> Result<()> {
        // Of an MPTCP socket the subflow inside has the number, and no getsockopt.
        let Some(listener) = self.listener.as_ref().filter(|found| !found.is_mptcp()) else {
            return Ok(());
        };
        let drops = listener.drops()?;
        ensure!(
            drops == self.drops,
            "sk_drops of the listener is {drops}, expected {}",
            self.drops
        );
        Ok(())
    }
}
