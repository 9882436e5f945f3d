//! Joins what listeners refused, close in time, into incidents: facts about
//! listeners come in with their times, in any order, and incidents go out:
//! when, how many for which cause, how long the accept queue was, and whether
//! anybody accepted meanwhile. Does no I/O and reads no clock; what there was
//! no room for is counted.

mod cells;
mod member;
mod tell;

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
};

use self::cells::Cells;
use crate::model::ThreadState;

/// Drops that are no further apart, and those between which the accept queue stood full, are one incident. A client
/// sends its SYN again after so long.
pub const CLOSE_NS: u64 = 1_000_000_000;

/// Places that are remembered.
const PLACES_AT_MOST: usize = 256;

/// Slots of all of them.
const CELLS_AT_MOST: usize = 65_536;

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

/// All that is known.
#[derive(Debug, Default)]
pub struct Incidents {
    /// Rows come no more often than this; `None` where they never do.
    rows_every_ns: Option<u64>,
    began_ns: u64,
    places: HashMap<Place, Cells>,
    /// How many slots they have.
    cells: usize,
    /// Drops that there was no room for.
    let_go: u64,
}

/// The incidents of a watch.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// In the order of their first drops.
    pub incidents: Vec<Incident>,
    /// Drops that are in none for want of room.
    pub let_go: u64,
}

impl Incidents {
    /// From here on is everything known. Rows come no more often than this; `None`: never.
    pub const fn begin(&mut self, mono_ns: u64, rows_every_ns: Option<u64>) {
        self.began_ns = mono_ns;
        self.rows_every_ns = rows_every_ns;
    }

    pub fn take(&mut self, fact: Fact) {
        if self.places.len() >= PLACES_AT_MOST
            && !self.places.contains_key(&fact.place)
            && !self.make_room()
        {
            self.let_go += fact.what.drops();
            return;
        }
        let cells = self.places.entry(fact.place).or_default();
        self.cells -= cells.len();
        self.let_go += cells.take(fact);
        self.cells += cells.len();
        if self.cells > CELLS_AT_MOST {
            self.let_go += self.thin();
        }
    }

    /// Halves the place with most slots; how many drops had to be let go for it.
    fn thin(&mut self) -> u64 {
        let all = self.places.iter_mut();
        let Some((_, largest)) = all.max_by_key(|(place, cells)| (cells.len(), **place)) else {
            return 0;
        };
        self.cells -= largest.len();
        let let_go = largest.halve();
        self.cells += largest.len();
        let_go
    }

    /// Forgets the place of which nothing was told for longest, of those that never refused; `false` where all did.
    fn make_room(&mut self) -> bool {
        let quiet = self.places.iter().filter(|(_, cells)| !cells.has_drops());
        let oldest = quiet.min_by_key(|(place, cells)| (cells.newest_ns(), **place));
        let oldest = oldest.map(|(place, _)| *place);
        let forgotten = oldest.and_then(|place| self.places.remove(&place));
        self.cells -= forgotten.as_ref().map_or(0, Cells::len);
        forgotten.is_some()
    }

    /// The incidents of a watch that lasted so long.
    pub fn told(&self, lasted_ns: u64) -> Told {
        let ended_ns = self.began_ns.saturating_add(lasted_ns);
        let mut incidents: Vec<Incident> = self
            .places
            .iter()
            .flat_map(|(place, cells)| {
                let watched = (self.began_ns, ended_ns);
                tell::incidents(*place, cells, watched, self.rows_every_ns)
            })
            .collect();
        incidents.sort_by_key(|incident| (incident.start_ns, incident.place));
        Told {
            incidents,
            let_go: self.let_go,
        }
    }
}

impl What {
    const fn drops(&self) -> u64 {
        match self {
            Self::Drop { .. } => 1,
            Self::LeftOut { n, .. } => *n,
            Self::Row(_) | Self::Look { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests;
