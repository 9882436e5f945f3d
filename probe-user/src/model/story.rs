//! One attempt of a client: what became of it, and of all of them.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{cgroup::Cgroup, histogram::Histogram, intern, netns_name::NetnsName, owner::Owner};
use crate::model::outcome::Outcome;

/// Who attempts to connect to what. Its initial sequence number is the story's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The inode number of its network namespace.
    pub netns: u32,
    /// The client's address.
    pub client: SocketAddr,
    /// This host's end.
    pub local: SocketAddr,
}

/// Whose listener it is, as the last event had it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Whose {
    /// The processes that hold it, as far as they are known.
    pub owner: Arc<[Owner]>,
    /// The cgroup of its maker, where that is known.
    pub cgroup: Option<Arc<Cgroup>>,
    /// What that namespace is called for people, where it has a name.
    pub netns_name: Option<Arc<NetnsName>>,
}

/// Refused segments by stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// SYNs.
    pub syn: u32,
    /// Final ACKs.
    pub ack: u32,
    /// ACKs of a SYN cookie.
    pub cookie_ack: u32,
}

impl Refusals {
    /// All of them.
    pub const fn seen(self) -> u32 {
        self.syn + self.ack + self.cookie_ack
    }
}

/// What happened to one attempt that was refused, and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Story {
    /// Which attempt it is of.
    pub attempt: Attempt,
    /// The first of them, CLOCK_MONOTONIC in nanoseconds.
    pub first_ns: u64,
    /// The last of them, CLOCK_MONOTONIC in nanoseconds.
    pub last_ns: u64,
    /// How often it was refused, of what had an event.
    pub refusals: Refusals,
    /// How often it was refused in all, where the kernel side has said so.
    pub refused: Option<u32>,
    /// `kind` or `kind/cause` of what happened, and how often.
    pub causes: BTreeMap<String, u32>,
    /// Cookie and address of the listener, where it is known.
    pub listener: Option<(u64, SocketAddr)>,
    /// Whose listener it was, and who holds it.
    pub whose: Whose,
    /// What became of it.
    pub outcome: Outcome,
    /// Some event of it has a line.
    pub shown: bool,
    pub(crate) isn: u32,
    /// The number is that of a SYN, not derived from a later segment.
    pub(crate) is_isn_exact: bool,
    /// When its last SYN was refused, and how long after the one before.
    pub(crate) last_syn_ns: u64,
    pub(crate) last_gap_ns: u64,
    /// The client has acknowledged the SYN-ACK of a request that the server has.
    pub(crate) has_acked: bool,
    pub(crate) has_cookie: bool,
    /// The outcome that was told last.
    #[serde(deserialize_with = "crate::model::intern::name")]
    pub(crate) told: intern::Name,
}

impl Story {
    /// Segments that were refused, as far as is known.
    pub fn times(&self) -> u32 {
        self.refused.unwrap_or(0).max(self.refusals.seen())
    }

    /// Segments that tried to connect, with the one that made it.
    pub fn tries(&self) -> u32 {
        let is_late = matches!(self.outcome, Outcome::ConnectedLate { .. });
        self.times() + u32::from(is_late)
    }
}

/// All that became of attempts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// By the name of the outcome.
    #[serde(deserialize_with = "crate::model::intern::keys")]
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Of those connected late.
    pub delays: Histogram,
    /// Unfinished stories that there was no room for any more.
    pub let_go: u64,
    /// Records that stories may miss: left out on purpose, and lost.
    pub sampled: u64,
    /// Stories that there was no room for.
    pub lost: u64,
}

impl Totals {
    /// How many there are.
    pub fn stories(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Nanoseconds at the middle, near the end and at the end of all delays.
    pub fn delays_ns(&self) -> Option<[u64; 3]> {
        let delays = &self.delays;
        Some([
            delays.percentile(50)?,
            delays.percentile(99)?,
            delays.max_ns(),
        ])
    }
}
