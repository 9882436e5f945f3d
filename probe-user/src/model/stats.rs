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
    #[serde(with = "super::pairs")]
    pub kinds: BTreeMap<Kind, u64>,
    #[serde(with = "super::pairs")]
    pub causes: Causes,
}

impl Refusals {
    pub fn total(&self) -> u64 {
        self.kinds.values().sum()
    }
}

/// One listener, from the start of the watch until now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListenerStatsRow {
    pub netns: u32,
    #[serde(default)]
    pub netns_name: Option<Arc<NetnsName>>,
    pub cookie: u64,
    pub addr: Option<SocketAddr>,
    pub owner: Arc<[Owner]>,
    pub cgroup: Option<Arc<Cgroup>>,
    pub established: u64,
    pub accepted: Accepted,
    /// What the hook saw, where there is one.
    pub accepted_counted: u64,
    /// In the queue now.
    pub queued: Option<u32>,
    /// In the queue when the listener was closed.
    pub reset: u64,
    pub is_closed: bool,
    pub is_mptcp: bool,
    /// The longest that the queue was, and its limit then.
    pub accept_queue: (u32, u32),
    pub syn_queue: (u32, u32),
    pub cookies_sent: u64,
    /// `None` in recordings of 0.1 before refusals were counted here.
    #[serde(default)]
    pub refusals: Option<Refusals>,
    pub waits: Histogram,
}
