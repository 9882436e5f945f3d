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
    pub addr: SocketAddr,
    pub accept_queue_len: u32,
    pub accept_queue_limit: u32,
    pub syn_queue_len: u32,
    /// `tcp_syncookies` and `tcp_max_syn_backlog` of its namespace.
    pub syncookies: u8,
    pub max_syn_backlog: u32,
}

/// One event, still without what user space knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub mono_ns: u64,
    pub kind: Kind,
    pub stage: Option<Stage>,
    /// Who attempted the connection; `None` where this is not known.
    pub client: Option<SocketAddr>,
    /// This host's end.
    pub local: Option<SocketAddr>,
    /// The other end.
    pub remote: Option<SocketAddr>,
    pub netns: u32,
    pub cpu: u32,
    pub listener: Option<ListenerAt>,
    /// Kernel address and cookie of the socket, the listener's or the connection's.
    pub sock: u64,
    pub cookie: u64,
    pub evidence: Evidence,
    pub moved: [u8; counter::SLOTS],
    /// Noticed at the next packet only: client and listener are not known.
    pub late: bool,
    pub what: What,
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    pub seq: u32,
    pub ack_seq: u32,
    /// Timeouts or SYN-ACKs sent again so far.
    pub retransmits: u8,
}

/// What came before a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
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
    pub lasted_ns: u64,
}

/// A process as the kernel side saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub pid: u32,
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
