//! What a listener goes through before anything is lost.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use super::{histogram::Histogram, tally::Causes};
use crate::model::{cgroup::Cgroup, kind::Kind, netns_name::NetnsName, owner::Owner};

/// How many of a listener's connections accept(2) took out of its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Accepted {
    /// A hook saw each of them.
    Counted(u64),
    /// Established, and not in the queue any more.
    Derived(u64),
    /// The namespace could not be asked for the queue.
    #[default]
    Unknown,
}

impl Accepted {
    /// How many, where that is known.
    pub const fn number(self) -> Option<u64> {
        match self {
            Self::Counted(n) | Self::Derived(n) => Some(n),
            Self::Unknown => None,
        }
    }
}

/// What a listener refused (overflow, request-drop, listen-drop), exactly: by the kernel side's counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// By kind; one that did not happen is not there.
    #[serde(with = "super::pairs")]
    pub kinds: BTreeMap<Kind, u64>,
    /// How often for which cause.
    #[serde(with = "super::pairs")]
    pub causes: Causes,
}

impl Refusals {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.kinds.values().sum()
    }
}

/// One listener, from the start of the watch until now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListenerStatsRow {
    /// The inode number of its network namespace.
    pub netns: u32,
    /// What that namespace is called for people, where it has a name.
    #[serde(default)]
    pub netns_name: Option<Arc<NetnsName>>,
    /// The socket cookie (`sock_gen_cookie()`); 0 where it has none yet.
    pub cookie: u64,
    /// The address and port that it is bound to.
    pub addr: Option<SocketAddr>,
    /// The processes that hold it, as far as they are known.
    pub owner: Arc<[Owner]>,
    /// The cgroup of its maker, where that is known.
    pub cgroup: Option<Arc<Cgroup>>,
    /// Connections that entered the accept queue.
    pub established: u64,
    /// Of these, what accept(2) took out.
    pub accepted: Accepted,
    /// What the hook saw, where there is one.
    pub accepted_counted: u64,
    /// In the queue now.
    pub queued: Option<u32>,
    /// In the queue when the listener was closed.
    pub reset: u64,
    /// The listener was closed.
    pub is_closed: bool,
    /// It is a listener of MPTCP.
    pub is_mptcp: bool,
    /// The longest that the queue was, and its limit then.
    pub accept_queue: (u32, u32),
    /// The same of its SYN queue.
    pub syn_queue: (u32, u32),
    /// SYNs that a SYN cookie answered.
    pub cookies_sent: u64,
    /// `None` in recordings of 0.1 before refusals were counted here.
    #[serde(default)]
    pub refusals: Option<Refusals>,
    /// How long connections waited for accept(2).
    pub waits: Histogram,
}
