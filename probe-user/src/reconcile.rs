//! Holds what the hooks saw against what the kernel counted: readings of the
//! kernel's counters and of the hooks' sums come in, one row per namespace and
//! counter goes out. Does no I/O and reads no clock. It hides nothing: what it
//! cannot explain is `unattributed`, what it cannot know is `None`.

use std::collections::{BTreeMap, HashMap};

use probe_common::counter;

use crate::loader::Totals;

/// The decisive counters of one namespace, in the order of `probe_common::counter`.
pub type Reading = [u64; counter::DECISIVE];

/// All namespaces at one moment, with what the hooks had seen by then.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub kernel: BTreeMap<u32, Reading>,
    pub totals: Totals,
    /// Whether the hooks saw something while the counters were being read, so
    /// that rows may be off by what happened in between.
    pub moving: bool,
}

/// One line of the reconciliation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub netns: u32,
    pub counter: &'static str,
    /// What the kernel counted; `None` when its namespace ended before it could be read.
    pub kernel: Option<u64>,
    /// What was seen and shown.
    pub seen: u64,
    /// What was counted, but whose detail was lost.
    pub lost: u64,
    /// What the kernel counted and no hook saw. Negative: seen, but not counted.
    pub unattributed: Option<i64>,
}

/// A difference between the kernel's count and the hooks' that has grown since it was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residual {
    pub netns: u32,
    pub counter: &'static str,
    /// As in [`Row::unattributed`], since the start.
    pub unattributed: i64,
    /// Of these, since this was last told.
    pub news: i64,
}

/// Detail that got lost in user space, by namespace and counter.
#[derive(Clone, Debug, Default)]
pub struct LostInUserSpace(pub HashMap<u32, Reading>);

/// The first sample and the newest counters of every namespace met since.
#[derive(Debug)]
pub struct Reconciler {
    base: Sample,
    newest: BTreeMap<u32, Reading>,
    /// What was told as a residual, by namespace and counter slot.
    told: HashMap<(u32, usize), i64>,
}

type Sums = HashMap<u32, [u64; counter::SLOTS]>;

impl Reconciler {
    pub fn new(base: Sample) -> Self {
        Self {
            newest: base.kernel.clone(),
            base,
            told: HashMap::new(),
        }
    }

    /// Remembers the newest counters, so that a namespace that ends is not forgotten.
    pub fn observe(&mut self, kernel: &BTreeMap<u32, Reading>) {
        for (netns, reading) in kernel {
            // Counters never fall: a smaller one is another namespace with the number of an ended one.
            let base = self.base.kernel.entry(*netns).or_default();
            if base.iter().zip(reading).any(|(base, now)| now < base) {
                *base = Reading::default();
            }
            self.newest.insert(*netns, *reading);
        }
    }

    /// The differences that changed since they were last told. `before` and
    /// `after` are the hooks' sums around the reading of `kernel`: where they
    /// differ the two do not belong to one moment, and nothing is said yet.
    pub fn residuals(
        &mut self,
        kernel: &BTreeMap<u32, Reading>,
        before: &Sums,
        after: &Sums,
    ) -> Vec<Residual> {
        let mut found = Vec::new();
        for (netns, now) in kernel {
            if before.get(netns) != after.get(netns) {
                continue;
            }
            let base = self.base.kernel.get(netns).copied().unwrap_or_default();
            let seen = self.sums_since(after, *netns);
            for slot in 0..counter::DECISIVE {
                let counted = now[slot].saturating_sub(base[slot]);
                let unattributed = counted as i64 - seen[slot] as i64;
                let told = self.told.entry((*netns, slot)).or_default();
                if unattributed != *told {
                    found.push(Residual {
                        netns: *netns,
                        counter: counter::NAMES[slot].1,
                        unattributed,
                        news: unattributed - *told,
                    });
                    *told = unattributed;
                }
            }
        }
        found
    }

    /// What the hooks counted since the base.
    fn sums_since(&self, last: &Sums, netns: u32) -> Reading {
        let now = last.get(&netns).copied().unwrap_or_default();
        let base = self
            .base
            .totals
            .sums
            .get(&netns)
            .copied()
            .unwrap_or_default();
        std::array::from_fn(|slot| now[slot].saturating_sub(base[slot]))
    }

    /// The rows of every namespace in which something moved, or of `always`.
    pub fn rows(&self, last: &Sample, user: &LostInUserSpace, always: u32) -> Vec<Row> {
        let mut netns: Vec<u32> = self
            .newest
            .keys()
            .chain(last.totals.sums.keys())
            .copied()
            .collect();
        netns.sort_unstable();
        netns.dedup();
        netns
            .into_iter()
            .flat_map(|netns| {
                let rows = self.rows_of(netns, last, user);
                let moved = rows.iter().any(|row| {
                    row.kernel.is_none_or(|kernel| kernel > 0) && row.seen + row.lost > 0
                        || row.kernel.is_some_and(|k| k > 0)
                });
                (moved || netns == always).then_some(rows)
            })
            .flatten()
            .collect()
    }

    fn rows_of(&self, netns: u32, last: &Sample, user: &LostInUserSpace) -> Vec<Row> {
        let sums = self.sums_since(&last.totals.sums, netns);
        let shed = shed_of(&last.totals, netns);
        let shed_before = shed_of(&self.base.totals, netns);
        let user = user.0.get(&netns).copied().unwrap_or_default();
        let base = self.base.kernel.get(&netns).copied().unwrap_or_default();
        let now = last.kernel.get(&netns);
        (0..counter::DECISIVE)
            .map(|slot| {
                let kernel = now.map(|now| now[slot].saturating_sub(base[slot]));
                let lost =
                    (shed[slot].saturating_sub(shed_before[slot]) + user[slot]).min(sums[slot]);
                Row {
                    netns,
                    counter: counter::NAMES[slot].1,
                    kernel,
                    seen: sums[slot] - lost,
                    lost,
                    unattributed: kernel.map(|kernel| kernel as i64 - sums[slot] as i64),
                }
            })
            .collect()
    }
}

/// How far each counter moved with events whose record found no room in the ring.
fn shed_of(totals: &Totals, netns: u32) -> Reading {
    let mut shed = Reading::default();
    for (key, value) in &totals.counts {
        if key.netns == netns {
            for (slot, lost) in shed.iter_mut().enumerate() {
                *lost += value.shed * u64::from(key.moved >> slot & 1);
            }
        }
    }
    shed
}

#[cfg(test)]
mod tests {
    use probe_common::{CountKey, CountValue};

    use super::*;

    const NETNS: u32 = 7;

    fn totals(sum: u64, shed: u64) -> Totals {
        let key = CountKey {
            listener: 1,
            netns: NETNS,
            hook: 1,
            flags: 0,
            moved: 0b11,
            sock_state: 10,
        };
        Totals {
            counts: HashMap::from([(key, CountValue { events: sum, shed })]),
            sums: HashMap::from([(NETNS, [sum, sum, 0, 0, 0, 0, 0, 0])]),
            ..Totals::default()
        }
    }

    fn sample(kernel: Option<u64>, sum: u64, shed: u64) -> Sample {
        Sample {
            kernel: kernel.map(|n| (NETNS, [n, n, 0, 0])).into_iter().collect(),
            totals: totals(sum, shed),
            moving: false,
        }
    }

    fn overflow_row(base: Sample, last: Sample) -> Row {
        Reconciler::new(base)
            .rows(&last, &LostInUserSpace::default(), NETNS)
            .remove(0)
    }

    #[test]
    fn what_is_shed_is_lost_and_the_rest_is_seen() {
        let row = overflow_row(sample(Some(100), 0, 0), sample(Some(164), 64, 4));
        assert_eq!((row.counter, row.kernel), ("ListenOverflows", Some(64)));
        assert_eq!((row.seen, row.lost, row.unattributed), (60, 4, Some(0)));
    }

    #[test]
    fn what_no_hook_saw_is_unattributed() {
        let row = overflow_row(sample(Some(0), 0, 0), sample(Some(10), 7, 0));
        assert_eq!(row.unattributed, Some(3));
    }

    #[test]
    fn what_was_seen_before_the_base_does_not_count() {
        let row = overflow_row(sample(Some(5), 5, 2), sample(Some(6), 6, 2));
        assert_eq!((row.seen, row.lost, row.unattributed), (1, 0, Some(0)));
    }

    #[test]
    fn a_growing_difference_is_told_once_per_growth() {
        let mut reconciler = Reconciler::new(sample(Some(0), 0, 0));
        let mut told = |kernel, sum| {
            let now = sample(Some(kernel), sum, 0);
            let found = reconciler.residuals(&now.kernel, &now.totals.sums, &now.totals.sums);
            found.first().map(|r| (r.counter, r.unattributed, r.news))
        };
        assert_eq!(told(5, 5), None);
        assert_eq!(told(7, 5), Some(("ListenOverflows", 2, 2)));
        assert_eq!(told(9, 7), None);
        assert_eq!(told(12, 7), Some(("ListenOverflows", 5, 3)));
    }

    #[test]
    fn what_moves_meanwhile_is_not_judged() {
        let mut reconciler = Reconciler::new(sample(Some(0), 0, 0));
        let now = sample(Some(7), 5, 0);
        let earlier = sample(Some(7), 4, 0).totals.sums;
        let found = reconciler.residuals(&now.kernel, &earlier, &now.totals.sums);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_namespace_that_ended_is_not_known() {
        let row = overflow_row(sample(Some(0), 0, 0), sample(None, 3, 0));
        assert_eq!((row.kernel, row.unattributed, row.seen), (None, None, 3));
    }

    #[test]
    fn a_reused_number_starts_from_zero() {
        let mut reconciler = Reconciler::new(sample(Some(100), 0, 0));
        let last = sample(Some(4), 4, 0);
        reconciler.observe(&last.kernel);
        let rows = reconciler.rows(&last, &LostInUserSpace::default(), 0);
        assert_eq!(rows[0].kernel, Some(4));
        assert_eq!(rows[0].unattributed, Some(0));
    }
}
