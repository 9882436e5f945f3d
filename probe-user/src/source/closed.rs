//! Listeners and namespaces that are no more, until they are told of together. Which of them: closings come in and the
//! turns of the kernel side's maps, [`Gone`] goes out.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::model::{
    event::Event,
    gone::{Gone, Names},
};

/// So many are told of one by one, the newest.
const KEPT: usize = 1024;

/// So many namespaces that ended are.
const NAMESPACES_KEPT: usize = 256;

/// When so many have closed since the last turn, it is time for the next one.
const MANY: usize = 4096;

/// What ended.
#[derive(Debug, Default)]
pub(super) struct Closed {
    /// The oldest first, by namespace and name: only when its counts have been taken out of the maps a listener can be
    /// forgotten with all that was counted of it.
    listeners: VecDeque<(u32, u64)>,
    /// So many of these were closed before the maps changed.
    before_turn: usize,
    /// Namespaces that could not be found when the maps changed.
    missing: HashSet<u32>,
    /// How many listeners were forgotten.
    pub(super) forgotten: u64,
}

impl Closed {
    /// A listener is no more.
    pub(super) fn add(&mut self, event: &Event) {
        let name = if event.cookie == 0 {
            event.sock
        } else {
            event.cookie
        };
        self.listeners.push_back((event.netns, name));
    }

    /// Whether so many have closed that their counts are to be taken out of the maps.
    pub(super) fn are_many(&self) -> bool {
        self.listeners.len() - self.before_turn >= MANY + KEPT
    }

    /// The maps change: who has closed by now is counted in the old ones. `missing` are namespaces that are not found.
    pub(super) fn turn_begins(&mut self, missing: HashSet<u32>) {
        self.before_turn = self.listeners.len();
        self.missing = missing;
    }

    /// The old maps are empty: who may be forgotten? `missing` are the namespaces that are not
    /// found now, `too_many` listeners whose closing may have been lost.
    pub(super) fn turn_ends(
        &mut self,
        missing: &HashSet<u32>,
        too_many: &Names,
        is_wanted: impl Fn(u64) -> bool,
        takes_all: bool,
    ) -> Gone {
        let old = self.before_turn.saturating_sub(KEPT);
        self.before_turn = 0;
        let listeners: HashMap<_, _> = self
            .listeners
            .drain(..old)
            .chain(too_many.iter().copied())
            .map(|name| (name, is_wanted(name.1)))
            .collect();
        self.forgotten += listeners.values().filter(|is_wanted| **is_wanted).count() as u64;
        let mut ended: Vec<u32> = self.missing.intersection(missing).copied().collect();
        self.missing = HashSet::new();
        ended.sort_unstable();
        let namespaces = ended.into_iter().skip(NAMESPACES_KEPT).collect();
        Gone {
            listeners,
            namespaces,
            takes_all,
        }
    }
}
