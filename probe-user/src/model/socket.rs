//! Sockets as the kernel held them at one instant.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// A listener as the kernel held it at `taken_mono_ns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerSnapshot {
    /// The socket cookie (`sock_gen_cookie()`); 0 where it has none yet.
    pub cookie: u64,
    /// The bound address; a wildcard where it is bound to none.
    pub addr: SocketAddr,
    /// `None` for IPv4 listeners.
    pub v6only: Option<bool>,
    /// The interface it is bound to, 0 for none.
    pub ifindex: u32,
    /// The socket's inode number.
    pub inode: u32,
    /// The user that made it.
    pub uid: u32,
    /// Connections that wait for accept(2): `sk_ack_backlog`.
    pub accept_queue_len: u32,
    /// More than this many are refused: `sk_max_ack_backlog`.
    pub accept_queue_limit: u32,
    /// `sk_drops`: wraps at 32 bits, and counts some refusals twice.
    pub drops: Option<u32>,
    /// The cgroup of its maker, by number (`INET_DIAG_CGROUP_ID`).
    pub cgroup_id: Option<u64>,
    /// When it was taken, CLOCK_MONOTONIC in nanoseconds.
    pub taken_mono_ns: u64,
}

/// A half-open request: its SYN-ACK was sent, or should have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSnapshot {
    /// This host's end.
    pub local: SocketAddr,
    /// The other end.
    pub client: SocketAddr,
    /// Until its SYN-ACK would be sent again.
    pub left: Duration,
    /// How often it was.
    pub resent: u8,
}

impl RequestSnapshot {
    /// The first timeout (`TCP_TIMEOUT_INIT`, 5.10 to 7.2), and what a clock tick may add. Each later one is twice as long.
    const FIRST_TIMEOUT: Duration = Duration::from_millis(1050);

    /// Whether it is known to have been there for a second: its timer ran out before.
    pub fn is_aged(&self) -> bool {
        self.resent > 0 || self.left > Self::FIRST_TIMEOUT
    }
}

/// Half-open requests of one listener at a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalfOpen {
    /// How many there are.
    pub in_all: u32,
    /// Known to have been there for a second or longer: at least so many.
    pub aged: u32,
    /// Of these, whose SYN-ACK was sent again. Who has acknowledged it, and waits for TCP_DEFER_ACCEPT, is sent none; and
    /// one that this host itself drops on its way out counts as not sent.
    pub resent: u32,
    /// Client addresses.
    pub clients: u32,
}

/// Whether a socket bound to `bound` takes what is sent to `local`, as far as addresses go.
pub fn is_bound_for(bound: SocketAddr, local: SocketAddr) -> bool {
    let (ip, to) = (bound.ip().to_canonical(), local.ip().to_canonical());
    let any = match ip {
        IpAddr::V4(v4) => v4.is_unspecified() && to.is_ipv4(),
        // An IPv6 wildcard takes IPv4 too, unless it is told not to.
        IpAddr::V6(v6) => v6.is_unspecified(),
    };
    bound.port() == local.port() && (any || ip == to)
}

impl ListenerSnapshot {
    /// Whether it takes what is sent to `local`.
    pub fn takes(&self, local: SocketAddr) -> bool {
        let only_ipv6 = self.v6only == Some(true) && local.ip().to_canonical().is_ipv4();
        !only_ipv6 && self.ifindex == 0 && is_bound_for(self.addr, local)
    }
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
    /// The socket cookie (`sock_gen_cookie()`); 0 where it has none yet.
    pub cookie: u64,
    /// The kernel's name: `ESTABLISHED`, `SYN_SENT`, `SYN_RECV`…
    pub state: &'static str,
    /// `None` where no file belongs to it: a request, TIME_WAIT, closed by its process, or not accepted yet.
    pub inode: Option<u32>,
    /// The user that made it.
    pub uid: Option<u32>,
    /// `None` before the first sample.
    pub rtt_us: Option<u32>,
    /// `tcpi_rttvar`, in microseconds.
    pub rttvar_us: Option<u32>,
    /// `tcpi_snd_cwnd`, in segments.
    pub cwnd: Option<u32>,
    /// Timeouts in a row without an answer.
    pub retransmits: Option<u32>,
    /// Segments sent again since the connection began.
    pub total_retrans: Option<u32>,
    /// `tcpi_unacked`, in segments.
    pub unacked: Option<u32>,
    /// `sk_drops`: what the listener refused since it was made.
    pub drops: Option<u32>,
    /// The cgroup of its maker, by number (`INET_DIAG_CGROUP_ID`).
    pub cgroup_id: Option<u64>,
    /// When it was taken, CLOCK_MONOTONIC in nanoseconds.
    pub taken_mono_ns: u64,
}

/// One end of a connection, in whatever state it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndSnapshot {
    /// This host's end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// The kernel's name: `ESTABLISHED`, `SYN_SENT`, `TIME_WAIT`…
    pub state: &'static str,
    /// `None` where no file belongs to it.
    pub inode: Option<u32>,
    /// How often its last segment was sent again.
    pub resent: u8,
}

/// A connection that a process has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedSnapshot {
    /// This host's end.
    pub local: SocketAddr,
    /// The client's end.
    pub remote: SocketAddr,
    /// The socket's inode number.
    pub inode: u32,
    /// Since it was established; `None` once something was sent on it.
    pub age: Option<Duration>,
    /// Since something was sent on it, or since it was established: it is no younger.
    pub quiet: Option<Duration>,
}
