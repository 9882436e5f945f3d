//! Drops of one place, close in time; and the facts that they are made of.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::thread_state::ThreadState;

/// An address and port of a namespace: one listener, or all of an SO_REUSEPORT group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The inode number of its network namespace.
    pub netns: u32,
    /// The address and port that it is bound to.
    pub addr: SocketAddr,
}

impl Hash for Place {
    /// In two words: each event is looked for by its place.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ip = match self.addr.ip() {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        state.write_u128(ip);
        state.write_u64(u64::from(self.netns) << 16 | u64::from(self.addr.port()));
    }
}

/// Something about one listener, which its cookie names.
#[derive(Clone, Debug)]
pub struct Fact {
    /// The instant, CLOCK_MONOTONIC in nanoseconds.
    pub mono_ns: u64,
    /// Where it was.
    pub place: Place,
    /// The socket cookie (`sock_gen_cookie()`); 0 where it has none yet.
    pub cookie: u64,
    /// What happened there.
    pub what: What,
}

/// What a place was told to have seen.
#[derive(Clone, Debug)]
pub enum What {
    /// It refused.
    Drop {
        /// Why, where the kind does not say it all.
        cause: String,
        /// The client's address.
        client: Option<IpAddr>,
        /// Length and limit of its accept queue.
        queue: (u32, u32),
    },
    /// In the second before, it refused so many more, of which nothing else is known.
    LeftOut {
        /// Why, where the kind does not say it all.
        cause: String,
        /// So many.
        n: u64,
        /// Each of their clients is that of a drop that is known.
        clients_known: bool,
    },
    /// Its figures since the watch began. They are told when they have changed.
    Row(Row),
    /// A look at its accept queue: length, limit, and what the threads of its owners were doing.
    Look {
        /// Length and limit of its accept queue.
        queue: (u32, u32),
        /// What threads of its owners did, by how many looks.
        doing: BTreeMap<ThreadState, u32>,
    },
}

/// Figures of a listener, as a `stats` line has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// `None` where it cannot be known.
    pub accepted: Option<u64>,
    /// A hook counted them. Else they are what is not in the queue any more.
    pub is_counted: bool,
    /// In the accept queue then.
    pub queued: Option<u32>,
    /// Of the accept queue; 0 is not known, or none.
    pub limit: u32,
}

/// Drops of one place, close in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// Where it was.
    pub place: Place,
    /// The first drop and the last.
    pub start_ns: u64,
    /// See `start_ns`.
    pub end_ns: u64,
    /// `false`: of some drops only the second is known, so that the last may have been later.
    pub is_end_exact: bool,
    /// How often for which cause.
    pub causes: BTreeMap<String, u64>,
    /// By cookie.
    pub listeners: BTreeMap<u64, u64>,
    /// Addresses.
    pub clients: u64,
    /// No more than these.
    pub clients_exact: bool,
    /// The accept queue, of the fullest listener, from a little before to a little after, a point each `step_ns`; there
    /// is none where nothing told of it.
    pub depth: Vec<Depth>,
    /// How far apart these points are, in nanoseconds.
    pub step_ns: u64,
    /// Connections accepted a second; `None` where that is not known.
    pub accepted: Rates,
    /// The longest time that nothing was accepted while connections waited; `None` where that is not known.
    pub gap: Option<Gap>,
    /// How far that time can be off at each end.
    pub precision_ns: u64,
    /// Looks at threads of the owners while the queue was over its limit, by what they found.
    pub doing: BTreeMap<ThreadState, u64>,
}

/// How long an accept queue was at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// The instant, CLOCK_MONOTONIC in nanoseconds.
    pub at_ns: u64,
    /// Connections in the queue.
    pub len: u32,
    /// More than this many are refused.
    pub limit: u32,
}

/// In the second before the first drop, from there to the last, and in the second after.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// In the second before the first drop.
    pub before: Option<f64>,
    /// From the first drop to the last.
    pub during: Option<f64>,
    /// In the second after the last.
    pub after: Option<f64>,
}

/// A time in which nothing was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// From then, CLOCK_MONOTONIC in nanoseconds.
    pub from_ns: u64,
    /// Until then.
    pub to_ns: u64,
    /// It had begun before anything was known, or did not end while it was watched.
    pub at_least: bool,
}

impl Gap {
    /// How long, in nanoseconds.
    pub const fn ns(self) -> u64 {
        self.to_ns - self.from_ns
    }
}

impl Incident {
    /// How many refusals there were.
    pub fn drops(&self) -> u64 {
        self.causes.values().sum()
    }

    /// For how long nothing was accepted, at least; nothing where that is not known.
    pub fn stood_still(&self) -> Duration {
        let gap = self.gap.map_or(0, Gap::ns);
        Duration::from_nanos(gap.saturating_sub(self.precision_ns))
    }

    /// Whether nothing was accepted for longer than it takes to see that.
    pub fn stalled(&self) -> Option<Gap> {
        self.gap.filter(|gap| gap.ns() >= 2 * self.precision_ns)
    }
}

/// The incidents of a watch.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// In the order of their first drops.
    pub incidents: Vec<Incident>,
    /// Drops that are in none for want of room.
    pub let_go: u64,
}
