//! Sockets as the kernel held them at one instant.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

/// A listener as the kernel held it at `taken_mono_ns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerSnapshot {
    pub cookie: u64,
    /// The bound address; a wildcard where it is bound to none.
    pub addr: SocketAddr,
    /// `None` for IPv4 listeners.
    pub v6only: Option<bool>,
    /// The interface it is bound to, 0 for none.
    pub ifindex: u32,
    pub inode: u32,
    pub uid: u32,
    pub accept_queue_len: u32,
    pub accept_queue_limit: u32,
    /// `sk_drops`: wraps at 32 bits, and counts some refusals twice.
    pub drops: Option<u32>,
    pub cgroup_id: Option<u64>,
    pub taken_mono_ns: u64,
}

#[cfg(test)]
impl ListenerSnapshot {
    /// One whose accept queue is over its limit, for tests.
    pub fn sample() -> Self {
        Self {
            cookie: 1,
            addr: ([127, 0, 0, 1], 80).into(),
            v6only: None,
            ifindex: 0,
            inode: 1,
            uid: 0,
            accept_queue_len: 9,
            accept_queue_limit: 8,
            drops: None,
            cgroup_id: None,
            taken_mono_ns: 1,
        }
    }
}

/// A connection (or what is left of one) as the kernel held it at `taken_mono_ns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSnapshot {
    pub cookie: u64,
    /// The kernel's name: `ESTABLISHED`, `SYN_SENT`, `SYN_RECV`…
    pub state: &'static str,
    /// `None` where no file belongs to it: a request, TIME_WAIT, closed by its process, or not accepted yet.
    pub inode: Option<u32>,
    pub uid: Option<u32>,
    /// `None` before the first sample.
    pub rtt_us: Option<u32>,
    pub rttvar_us: Option<u32>,
    pub cwnd: Option<u32>,
    /// Timeouts in a row without an answer.
    pub retransmits: Option<u32>,
    /// Segments sent again since the connection began.
    pub total_retrans: Option<u32>,
    pub unacked: Option<u32>,
    pub drops: Option<u32>,
    pub cgroup_id: Option<u64>,
    pub taken_mono_ns: u64,
}

/// A connection that a process has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedSnapshot {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub inode: u32,
    /// Since it was established; `None` once something was sent on it.
    pub age: Option<Duration>,
}
