//! What `sock_diag` last said of each port's listeners. Does no I/O: whoever
//! asks brings the answer.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use foldhash::HashMap;

use crate::inspect::diag::ListenerSnapshot;

/// Whose dump it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub netns: u32,
    pub port: u16,
    pub family: Family,
}

/// The family of the sockets, as the kernel keeps them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    V4,
    V6,
    Both,
}

impl Key {
    /// Every listener of a port.
    pub const fn port(netns: u32, port: u16) -> Self {
        let family = Family::Both;
        Self {
            netns,
            port,
            family,
        }
    }

    /// The listeners among which is one that is bound to `addr`.
    pub const fn bound(netns: u32, addr: SocketAddr) -> Self {
        let family = match addr {
            SocketAddr::V4(_) => Family::V4,
            SocketAddr::V6(_) => Family::V6,
        };
        Self {
            netns,
            port: addr.port(),
            family,
        }
    }
}

pub struct Dump {
    pub taken: Instant,
    /// CLOCK_MONOTONIC at the same time.
    pub taken_ns: u64,
    /// Whether every listener is in there that may be meant, and not only the one that was asked for.
    pub is_whole: bool,
    pub found: Result<Vec<ListenerSnapshot>, String>,
}

/// What was found.
#[derive(Default)]
pub struct Dumps(HashMap<Key, Dump>);

impl Dumps {
    pub fn get(&self, key: Key) -> Option<&Dump> {
        self.0.get(&key)
    }

    pub fn put(&mut self, key: Key, dump: Dump) {
        self.0.insert(key, dump);
    }

    /// Whether there is one that is younger than `age`.
    pub fn has(&self, key: Key, now: Instant, age: Duration) -> bool {
        self.get(key)
            .is_some_and(|dump| now.duration_since(dump.taken) < age)
    }

    /// Whether it has every listener in it.
    pub fn is_whole(&self, key: Key) -> bool {
        self.get(key).is_some_and(|dump| dump.is_whole)
    }

    /// Forgets those of `age` and older.
    pub fn forget(&mut self, now: Instant, age: Duration) {
        self.0
            .retain(|_, dump| now.duration_since(dump.taken) < age);
    }
}
