//! Drops of one place, close in time; and the facts that they are made of.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use super::thread_state::ThreadState;

/// An address and port of a namespace: one listener, or all of an SO_REUSEPORT group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub netns: u32,
    pub addr: SocketAddr,
}

/// Something about one listener, which its cookie names.
#[derive(Clone, Debug)]
pub struct Fact {
    pub mono_ns: u64,
    pub place: Place,
    pub cookie: u64,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// It refused.
    Drop {
        cause: String,
        client: Option<IpAddr>,
        /// Length and limit of its accept queue.
        queue: (u32, u32),
    },
    /// In the second before, it refused so many more, of which nothing else is known.
    LeftOut {
        cause: String,
        n: u64,
        /// Each of their clients is that of a drop that is known.
        clients_known: bool,
    },
    /// Its figures since the watch began. They are told when they have changed.
    Row(Row),
    /// A look at its accept queue: length, limit, and what the threads of its owners were doing.
    Look {
        queue: (u32, u32),
        doing: BTreeMap<ThreadState, u32>,
    },
}

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
    pub place: Place,
    /// The first drop and the last.
    pub start_ns: u64,
    pub end_ns: u64,
    /// `false`: of some drops only the second is known, so that the last may have been later.
    pub is_end_exact: bool,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    pub at_ns: u64,
    pub len: u32,
    pub limit: u32,
}

/// In the second before the first drop, from there to the last, and in the second after.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    pub before: Option<f64>,
    pub during: Option<f64>,
    pub after: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub from_ns: u64,
    pub to_ns: u64,
    /// It had begun before anything was known, or did not end while it was watched.
    pub at_least: bool,
}

impl Gap {
    pub const fn ns(self) -> u64 {
        self.to_ns - self.from_ns
    }
}

impl Incident {
    pub fn drops(&self) -> u64 {
        self.causes.values().sum()
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
