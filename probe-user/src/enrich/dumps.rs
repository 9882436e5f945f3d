//! What `sock_diag` last said of each port's listeners. Does no I/O: whoever
//! asks brings the answer.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use foldhash::HashMap;

use crate::model::socket::ListenerSnapshot;

/// How long one answer serves the events before it.
pub(super) const SHARED_FOR: Duration = Duration::from_millis(2);

/// Whose dump it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub netns: u32,
    pub port: u16,
    pub family: Family,
}

/// The family of the sockets, as the kernel keeps them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Family {
    V4,
    V6,
    Both,
}

impl Key {
    /// Every listener of a port.
    pub(super) const fn port(netns: u32, port: u16) -> Self {
        let family = Family::Both;
        Self {
            netns,
            port,
            family,
        }
    }

    /// The listeners among which is one that is bound to `addr`.
    pub(super) const fn bound(netns: u32, addr: SocketAddr) -> Self {
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

pub(super) struct Dump {
    pub fresh_until: Instant,
    /// CLOCK_MONOTONIC when it was taken.
    pub taken_ns: u64,
    /// Whether every listener is in there that may be meant, and not only the one that was asked for.
    pub is_whole: bool,
    pub found: Result<Vec<ListenerSnapshot>, String>,
}

impl Dump {
    /// Whether it may be told of an event: what came after it is not in it.
    pub(super) fn serves(&self, event_ns: u64, now: Instant) -> bool {
        self.taken_ns >= event_ns && self.is_fresh(now)
    }

    fn is_fresh(&self, now: Instant) -> bool {
        now < self.fresh_until
    }
}

/// What was found.
#[derive(Default)]
pub(super) struct Dumps(HashMap<Key, Dump>);

impl Dumps {
    pub(super) fn get(&self, key: Key) -> Option<&Dump> {
        self.0.get(&key)
    }

    pub(super) fn put(&mut self, key: Key, dump: Dump) {
        self.0.insert(key, dump);
    }

    /// Forgets those that serve nothing any more.
    pub(super) fn forget(&mut self, now: Instant) {
        self.0.retain(|_, dump| dump.is_fresh(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_serves_what_was_before_it_and_not_for_long() {
        let taken = Instant::now();
        let dump = Dump {
            fresh_until: taken + SHARED_FOR,
            taken_ns: 1000,
            is_whole: true,
            found: Ok(Vec::new()),
        };
        assert!(dump.serves(1000, taken));
        assert!(dump.serves(0, taken + SHARED_FOR / 2));
        assert!(!dump.serves(1001, taken));
        assert!(!dump.serves(0, taken + SHARED_FOR));
    }
}
