//! What the hooks saw beside what the kernel counted.

use serde::{Deserialize, Serialize};

use std::sync::Arc;

use super::intern::Name;
use crate::model::netns_name::NetnsName;

/// One line of the reconciliation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The inode number of its network namespace.
    pub netns: u32,
    /// Its name in /proc/net/netstat.
    #[serde(deserialize_with = "super::intern::name")]
    pub counter: Name,
    /// What the kernel counted; `None` when its namespace ended before it could be read.
    pub kernel: Option<u64>,
    /// What was seen and shown.
    pub seen: u64,
    /// What was counted, and whose detail was left out on purpose.
    pub sampled: u64,
    /// What was counted, but whose detail was lost.
    pub lost: u64,
    /// What the kernel counted and no hook saw. Negative: seen, but not counted.
    pub unattributed: Option<i64>,
}

impl Row {
    /// Whether anything happened.
    pub fn moved(&self) -> bool {
        self.kernel.is_some_and(|kernel| kernel > 0) || self.seen + self.sampled + self.lost > 0
    }
}

/// A difference between the kernel's count and the hooks' that has grown since it was last told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residual {
    /// The inode number of its network namespace.
    pub netns: u32,
    /// What that namespace is called for people, where it has a name.
    #[serde(default)]
    pub netns_name: Option<Arc<NetnsName>>,
    /// Its name in /proc/net/netstat.
    #[serde(deserialize_with = "super::intern::name")]
    pub counter: Name,
    /// As in [`Row::unattributed`], since the start.
    pub unattributed: i64,
    /// Of these, since this was last told.
    pub news: i64,
}
