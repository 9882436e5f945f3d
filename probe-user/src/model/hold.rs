//! How processes hold a listener, and what came from it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// How a process holds a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub pid: u32,
    pub fds: Vec<u32>,
    /// Whether accept(2) of it returns at once where no connection is there (O_NONBLOCK).
    pub nonblocking: Option<bool>,
    /// Epoll instances that it stands in: descriptor, and the events that are asked for.
    pub epolls: Vec<(u32, u32)>,
    /// Whether the process has epoll instances beside these.
    pub has_others: bool,
}

/// Connections that were accepted from a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// At most so many as are asked for.
    pub connections: usize,
    /// Threads of owners that sleep on one of them, and whose it is.
    pub sleepers: Vec<(u32, SocketAddr)>,
}

/// How a listener stands in epoll instances of those who hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// They have none.
    NoEpoll,
    /// They have some, and it stands in none of them.
    Absent,
    /// It stands in some, which are not asked for its connections: no interest, or a one-shot that went off.
    Disarmed,
    /// Asked for once, when a connection comes: who does not accept all of them then is not told of them again.
    Edge,
    /// Told of as long as there are connections.
    Level,
}

impl Standing {
    /// Of all who hold it; `None` where nobody is known to.
    pub fn of(holds: &[Hold]) -> Option<Self> {
        let of_one = |hold: &Hold| {
            let none = if hold.has_others {
                Self::Absent
            } else {
                Self::NoEpoll
            };
            let events = hold
                .epolls
                .iter()
                .map(|(_, events)| Self::of_events(*events));
            events.max().unwrap_or(none)
        };
        holds.iter().map(of_one).max()
    }

    const fn of_events(events: u32) -> Self {
        let is_armed = events & (libc::EPOLLIN | libc::EPOLLRDNORM) as u32 != 0;
        match (is_armed, events & libc::EPOLLET as u32 != 0) {
            (false, _) => Self::Disarmed,
            (true, true) => Self::Edge,
            (true, false) => Self::Level,
        }
    }

    /// Whether it stands in an epoll instance.
    pub const fn is_in(self) -> bool {
        matches!(self, Self::Disarmed | Self::Edge | Self::Level)
    }
}
