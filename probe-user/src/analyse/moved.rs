//! What the kernel's counters of each namespace gained between two readings: readings come in, with their times, and
//! what moved goes out. Reads no clock.

use std::collections::{BTreeMap, HashSet};

use probe_common::counter;

use crate::model::{CountersMoved, gone::Gone, reading::Reading};

/// The newest readings.
#[derive(Debug)]
pub struct Moved {
    last: BTreeMap<u32, (u64, Reading)>,
    /// When any of them was last read: a namespace that is new was not there then.
    last_ns: u64,
}

impl Moved {
    /// From this reading on.
    pub fn since(mono_ns: u64, readings: &BTreeMap<u32, Reading>) -> Self {
        let last = readings
            .iter()
            .map(|(netns, now)| (*netns, (mono_ns, *now)));
        Self {
            last: last.collect(),
            last_ns: mono_ns,
        }
    }

    /// These have ended.
    pub fn forget(&mut self, gone: &Gone) {
        self.last
            .retain(|netns, _| !gone.namespaces.contains(netns));
    }

    /// What moved since. Of `unknown` namespaces it cannot be told: they were not read before, or their number was
    /// given again.
    pub fn take(
        &mut self,
        mono_ns: u64,
        readings: &BTreeMap<u32, Reading>,
        unknown: &HashSet<u32>,
    ) -> Vec<CountersMoved> {
        let before_ns = std::mem::replace(&mut self.last_ns, mono_ns);
        let mut found = Vec::new();
        for (netns, now) in readings {
            let new = (before_ns, Reading::default());
            let (since_ns, before) = self.last.insert(*netns, (mono_ns, *now)).unwrap_or(new);
            if unknown.contains(netns) {
                continue;
            }
            let moved: BTreeMap<_, _> = (0..counter::DECISIVE)
                .filter(|slot| now[*slot] > before[*slot])
                .map(|slot| (counter::NAMES[slot].1, now[slot] - before[slot]))
                .collect();
            if !moved.is_empty() {
                found.push(CountersMoved {
                    mono_ns,
                    since_ns,
                    netns: *netns,
                    netns_name: None,
                    moved,
                });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(of: &[(u32, u64)]) -> BTreeMap<u32, Reading> {
        let reading = |overflows| [overflows, 0, 0, 0, 0, 0, 0];
        of.iter().map(|(netns, n)| (*netns, reading(*n))).collect()
    }

    fn told(found: &[CountersMoved]) -> Vec<(u32, u64, u64)> {
        let one = |of: &CountersMoved| (of.netns, of.since_ns, of.moved["ListenOverflows"]);
        found.iter().map(one).collect()
    }

    #[test]
    fn only_what_moved_is_told_since_the_reading_before() {
        let mut moved = Moved::since(10, &readings(&[(1, 5), (2, 5)]));
        let known = HashSet::new();
        assert_eq!(
            told(&moved.take(20, &readings(&[(1, 5), (2, 5)]), &known)),
            []
        );
        let found = moved.take(30, &readings(&[(1, 7), (2, 5)]), &known);
        assert_eq!(told(&found), [(1, 20, 2)]);
    }

    #[test]
    fn a_namespace_that_could_not_be_read_for_a_while_is_told_since_it_was() {
        let mut moved = Moved::since(10, &readings(&[(1, 5), (2, 5)]));
        let known = HashSet::new();
        moved.take(20, &readings(&[(1, 5)]), &known);
        let found = moved.take(30, &readings(&[(1, 5), (2, 6), (3, 4)]), &known);
        // The third was made after the last reading, and began at 0.
        assert_eq!(told(&found), [(2, 10, 1), (3, 20, 4)]);
    }

    #[test]
    fn of_a_number_that_was_given_again_nothing_is_told() {
        let mut moved = Moved::since(10, &readings(&[(1, 5)]));
        assert_eq!(
            told(&moved.take(20, &readings(&[(1, 9)]), &HashSet::from([1]))),
            []
        );
    }
}
