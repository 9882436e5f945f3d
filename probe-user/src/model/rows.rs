//! What the hooks saw beside what the kernel counted.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

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
    /// What the kernel counted; `None` when that is not known.
    pub kernel: Option<u64>,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_kernel: Option<NoKernel>,
    /// What was seen and shown.
    pub seen: u64,
    /// What was counted, and whose detail was left out on purpose.
    pub sampled: u64,
    /// What was counted, but whose detail was lost.
    pub lost: u64,
    /// What the kernel counted and no hook saw. Negative: seen, but not counted.
    pub unattributed: Option<i64>,
}

/// Why it is not known what the kernel counted in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoKernel {
    /// It is not there any more, or nothing leads into it.
    Ended,
    /// It is there.
    Unread,
    /// It was there at the start, and could not be read then.
    UnreadBefore,
    /// More than one namespace has had this number, by net cookies, or by counters that fell or are less than the hooks saw. Below 5.14
    /// there are no cookies, and the last looks the same as a mistake of the hooks.
    NumberReused,
    /// That, or the hooks saw more than was counted when it was read, and went on seeing.
    Moving,
}

impl fmt::Display for NoKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "the namespace ended",
            Self::Unread => "the namespace could not be read",
            Self::UnreadBefore => "the namespace could not be read at the start",
            Self::NumberReused => {
                "another namespace seems to have had its number, and what was seen is of both"
            }
            Self::Moving => {
                "another namespace seems to have had its number, or the counters moved while they were read"
            }
        })
    }
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
