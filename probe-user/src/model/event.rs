//! One event in the field's own words, as decoding makes it: what happened, where in a handshake, and to whom.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

use probe_common::{counter, state};

use super::{
    evidence::Evidence,
    kind::{Kind, Stage},
};

/// The listener at the moment of the event, as the kernel side read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerAt {
    /// 0 where nobody has asked for one yet.
    pub cookie: u64,
    /// The address and port that it is bound to.
    pub addr: SocketAddr,
    /// Connections that wait for accept(2): `sk_ack_backlog`.
    pub accept_queue_len: u32,
    /// More than this many are refused: `sk_max_ack_backlog`.
    pub accept_queue_limit: u32,
    /// Half-open requests: `icsk_accept_queue.qlen`.
    pub syn_queue_len: u32,
    /// `tcp_syncookies` and `tcp_max_syn_backlog` of its namespace.
    pub syncookies: u8,
    /// `net.ipv4.tcp_max_syn_backlog`.
    pub max_syn_backlog: u32,
}

/// One event, still without what user space knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The instant, CLOCK_MONOTONIC in nanoseconds.
    pub mono_ns: u64,
    /// What it is.
    pub kind: Kind,
    /// Where in a handshake, where it was in one.
    pub stage: Option<Stage>,
    /// Who attempted the connection; `None` where this is not known.
    pub client: Option<SocketAddr>,
    /// This host's end.
    pub local: Option<SocketAddr>,
    /// The other end.
    pub remote: Option<SocketAddr>,
    /// The inode number of its network namespace.
    pub netns: u32,
    /// The processor that it happened on.
    pub cpu: u32,
    /// The listener, where it is known.
    pub listener: Option<ListenerAt>,
    /// Kernel address and cookie of the socket, the listener's or the connection's.
    pub sock: u64,
    /// The socket cookie (`sock_gen_cookie()`); 0 where it has none yet.
    pub cookie: u64,
    /// What the kernel side found: all that decides what it is.
    pub evidence: Evidence,
    /// By how much each counter moved, by slot ([`counter`]).
    pub moved: [u8; counter::SLOTS],
    /// Noticed at the next packet only: client and listener are not known.
    pub late: bool,
    /// What only some kinds tell.
    pub what: What,
}

#[cfg(test)]
impl Event {
    /// A SYN that came to nobody, for tests.
    pub fn sample() -> Self {
        Self {
            mono_ns: 1,
            kind: Kind::Refused,
            stage: Some(Stage::Syn),
            client: None,
            local: None,
            remote: None,
            netns: 1,
            cpu: 0,
            listener: None,
            sock: 0,
            cookie: 0,
            evidence: Evidence {
                hook: 0,
                flags: 0,
                sock_state: 0,
                reason: 0,
                moved: 0,
            },
            moved: Default::default(),
            late: false,
            what: What::Segment(Segment::default()),
        }
    }
}

/// What only some kinds of events tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Of a packet, a request or a connection.
    Segment(Segment),
    /// Of a listener that was closed: the process that closed it, where that is known.
    Closed(Option<Task>),
    /// Of a queue that is near its limit.
    NearLimit,
    /// Of a queue that is below its limit again.
    Eased(Episode),
    /// Of a connection that was refused before.
    Connected(Refused),
}

/// A segment of TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number of the segment.
    pub seq: u32,
    /// What the segment acknowledges.
    pub ack_seq: u32,
    /// Timeouts or SYN-ACKs sent again so far.
    pub retransmits: u8,
}

/// What came before a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The first refusal, CLOCK_MONOTONIC in nanoseconds.
    pub first_ns: u64,
    /// The client's initial sequence number.
    pub isn: u32,
    /// How often.
    pub times: u32,
}

/// The time that a queue was near its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Episode {
    /// The longest that the queue was.
    pub peak: u32,
    /// How long, in nanoseconds.
    pub lasted_ns: u64,
}

/// A process as the kernel side saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The process, by its number in whydrop's PID namespace.
    pub pid: u32,
    /// Its name: `task->comm`, 15 bytes at most.
    pub comm: String,
    /// Of what it died, where it closed by ending.
    #[serde(default)]
    pub signal: Option<u8>,
    /// What it exited with, where it closed by ending.
    #[serde(default)]
    pub exit_status: Option<u8>,
}

impl Task {
    /// How it ended, where it did.
    pub fn ending(&self) -> Option<String> {
        match (self.signal, self.exit_status) {
            (Some(signal), _) => Some(format!("killed by signal {signal}")),
            (None, Some(status)) => Some(format!("exited with status {status}")),
            (None, None) => None,
        }
    }
}

impl Event {
    /// One of a listener of which nothing else is known: no end, no packet, no counter.
    pub fn of_listener(
        mono_ns: u64,
        netns: u32,
        listener: ListenerAt,
        kind: Kind,
        hook: u8,
        what: What,
    ) -> Self {
        Self {
            mono_ns,
            kind,
            stage: None,
            client: None,
            local: None,
            remote: None,
            netns,
            cpu: 0,
            listener: Some(listener),
            sock: 0,
            cookie: listener.cookie,
            evidence: Evidence {
                hook,
                flags: 0,
                sock_state: state::LISTEN,
                reason: 0,
                moved: 0,
            },
            moved: [0; counter::SLOTS],
            late: false,
            what,
        }
    }

    /// Of a packet, a request or a connection.
    pub const fn segment(&self) -> Option<&Segment> {
        match &self.what {
            What::Segment(segment) => Some(segment),
            _ => None,
        }
    }

    /// Of a listener that was closed: the process that closed it.
    pub const fn closed_by(&self) -> Option<&Task> {
        match &self.what {
            What::Closed(by) => by.as_ref(),
            _ => None,
        }
    }

    /// Of a queue that is below its limit again.
    pub const fn episode(&self) -> Option<&Episode> {
        match &self.what {
            What::Eased(episode) => Some(episode),
            _ => None,
        }
    }

    /// Of a connection that was refused before.
    pub const fn refused(&self) -> Option<&Refused> {
        match &self.what {
            What::Connected(refused) => Some(refused),
            _ => None,
        }
    }
}
