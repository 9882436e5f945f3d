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
        is_wanted: impl Fn(u32, u64) -> bool,
        takes_all: bool,
    ) -> Gone {
        let old = self.before_turn.saturating_sub(KEPT);
        self.before_turn = 0;
        let listeners: HashMap<_, _> = self
            .listeners
            .drain(..old)
            .chain(too_many.iter().copied())
            .map(|(netns, name)| ((netns, name), is_wanted(netns, name)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(n: u64) -> Closed {
        Closed {
            listeners: (1..=n).map(|name| (7, name)).collect(),
            ..Closed::default()
        }
    }

    fn ends(closed: &mut Closed, too_many: &Names) -> Gone {
        let is_wanted = |netns, name| netns == 7 && name % 2 == 0;
        closed.turn_ends(&HashSet::new(), too_many, is_wanted, true)
    }

    #[test]
    fn only_who_closed_before_the_turn_is_forgotten_and_the_newest_are_kept() {
        let kept = KEPT as u64;
        let mut all = closed(kept + 10);
        assert!(
            ends(&mut all, &Names::new()).is_empty(),
            "no turn had begun"
        );
        all.turn_begins(HashSet::new());
        all.listeners.push_back((7, 99_999));
        let gone = ends(&mut all, &Names::new());
        let mut names: Vec<u64> = gone.listeners.keys().map(|(_, name)| *name).collect();
        names.sort_unstable();
        assert_eq!(names, (1..=10).collect::<Vec<u64>>());
        assert_eq!(all.forgotten, 5, "those that were asked for");
        assert_eq!(all.listeners.len(), KEPT + 1);
    }

    #[test]
    fn those_of_another_namespace_are_not_counted() {
        let mut none = closed(0);
        let gone = ends(&mut none, &Names::from([(8, 2), (7, 4)]));
        assert_eq!(
            (gone.listeners[&(8, 2)], gone.listeners[&(7, 4)]),
            (false, true)
        );
        assert_eq!(none.forgotten, 1);
    }

    #[test]
    fn a_namespace_is_forgotten_that_was_missing_twice() {
        let mut none = closed(0);
        let missing: HashSet<u32> = (1..=NAMESPACES_KEPT as u32 + 3).collect();
        none.turn_begins(missing.clone());
        let found_again = missing
            .iter()
            .copied()
            .filter(|netns| *netns != 1)
            .collect();
        let gone = none.turn_ends(&found_again, &Names::new(), |_, _| true, true);
        assert_eq!(gone.namespaces.len(), 2);
        assert!(!gone.namespaces.contains(&1));
    }
}
