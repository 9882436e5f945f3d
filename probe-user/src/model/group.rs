//! A SO_REUSEPORT group, and what its members have of its refusals.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Listeners that share an address and port.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// The inode number of its network namespace.
    pub netns: u32,
    /// What all of them are bound to.
    pub addr: SocketAddr,
    /// The listeners, by cookie.
    pub members: Vec<GroupMember>,
}

/// A listener of a group, as it is at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupMember {
    /// The socket cookie (`sock_gen_cookie()`); 0 where it has none yet.
    pub cookie: u64,
    /// How many connection attempts it refused.
    pub refusals: u64,
    /// Connections that wait for accept(2): `sk_ack_backlog`.
    pub accept_queue_len: u32,
    /// More than this many are refused: `sk_max_ack_backlog`.
    pub accept_queue_limit: u32,
}

impl Group {
    /// How many refusals there were.
    pub fn refusals(&self) -> u64 {
        self.members.iter().map(|member| member.refusals).sum()
    }

    /// The one with this cookie.
    pub fn member(&self, cookie: u64) -> Option<&GroupMember> {
        self.members.iter().find(|member| member.cookie == cookie)
    }

    /// What one has of the refusals of all, between 0 and 1.
    pub fn share(&self, member: &GroupMember) -> f64 {
        member.refusals as f64 / self.refusals().max(1) as f64
    }

    /// What the one with most has, in percent, rounded down: 100 are all.
    pub fn largest_percent(&self) -> u64 {
        let most = self.members.iter().map(|member| member.refusals).max();
        most.unwrap_or(0) * 100 / self.refusals().max(1)
    }
}
