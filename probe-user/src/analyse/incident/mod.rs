//! Joins what listeners refused, close in time, into incidents: facts about
//! listeners come in with their times, in any order, and incidents go out:
//! when, how many for which cause, how long the accept queue was, and whether
//! anybody accepted meanwhile. Does no I/O and reads no clock; what there was
//! no room for is counted.

mod cells;
mod member;
mod tell;

use std::collections::HashMap;

use self::cells::Cells;
use crate::model::incident::{Fact, Incident, Place, Told, What};

/// Drops that are no further apart, and those between which the accept queue stood full, are one incident. A client
/// sends its SYN again after so long.
pub const CLOSE_NS: u64 = 1_000_000_000;

/// Places that are remembered.
const PLACES_AT_MOST: usize = 256;

/// Slots of all of them.
const CELLS_AT_MOST: usize = 65_536;

/// All that is known.
#[derive(Clone, Debug, Default)]
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

impl Incidents {
    /// From here on is everything known. Rows come no more often than this; `None`: never.
    pub const fn begin(&mut self, mono_ns: u64, rows_every_ns: Option<u64>) {
        self.began_ns = mono_ns;
        self.rows_every_ns = rows_every_ns;
    }

    /// Takes what is known of a place, in any order of time.
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
