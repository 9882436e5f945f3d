//! What a listener goes through before anything is lost.

use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, sync::Arc};

use super::histogram::Histogram;
use crate::model::{cgroup::Cgroup, netns_name::NetnsName, owner::Owner};

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
    pub waits: Histogram,
}
