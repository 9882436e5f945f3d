//! Holds what the hooks saw against what the kernel counted: readings of the
//! kernel's counters and of the hooks' sums come in, one row per namespace and
//! counter goes out. Does no I/O and reads no clock. It hides nothing: what it
//! cannot explain is `unattributed`, what it cannot know is `None`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use probe_common::{CountValue, counter};

use crate::model::{
    counted::{Totals, add_counts, add_sums},
    gone::{Gone, NAMESPACES, fold},
    reading::{LostInUserSpace, Reading, Sample},
    rows::{NoKernel, Residual, Row},
};

/// The first sample and the newest counters of every namespace met since.
#[derive(Clone, Debug)]
pub struct Reconciler {
    base: Sample,
    newest: BTreeMap<u32, Reading>,
    /// Numbers of namespaces that ended: another one may get the number, and
    /// its counts cannot be told from those of the first.
    ended: HashSet<u32>,
    /// Namespaces of which the kernel's count since the start is not known.
    unknown: HashSet<u32>,
    /// Of these, numbers that more than one namespace has had since the base.
    reused: HashSet<u32>,
    /// Numbers under which the hooks saw something while no namespace that was found had it: it has ended, or it is
    /// found later.
    doubtful: HashSet<u32>,
    /// Those in whose difference more than one namespace has a part, if it is found once more.
    doubted: HashSet<u32>,
    /// Net cookies, as they were last read.
    cookies: BTreeMap<u32, u64>,
    /// Those of the newest reading alone.
    fresh: BTreeMap<u32, u64>,
    /// What was told as a residual, and what was found at the last look, by namespace and counter slot.
    told: HashMap<(u32, usize), (i64, i64)>,
    is_unsettled: bool,
}

type Sums = HashMap<u32, [u64; counter::SLOTS]>;

impl Reconciler {
    /// From this sample on everything is accounted for.
    pub fn new(base: Sample) -> Self {
        // One that was made while the others were read has been seen before the base, and is read after it.
        let seen = base.totals.sums.keys().copied();
        let is_known =
            |netns: &u32| base.kernel.contains_key(netns) || base.present.contains(netns);
        let found_later = seen.filter(|netns| !is_known(netns)).collect();
        Self {
            newest: base.kernel.clone(),
            cookies: base.cookies.clone(),
            fresh: BTreeMap::new(),
            base,
            ended: HashSet::new(),
            unknown: HashSet::new(),
            reused: HashSet::new(),
            doubtful: found_later,
            doubted: HashSet::new(),
            told: HashMap::new(),
            is_unsettled: false,
        }
    }

    /// These ended: what the hooks saw in them is told as one number. If one is found yet, whatever differs there is not known.
    pub fn forget(&mut self, gone: &Gone) {
        let stays = |netns: &u32| !gone.namespaces.contains(netns);
        let totals = &mut self.base.totals;
        let becomes = |netns: &u32| (!stays(netns)).then_some(NAMESPACES);
        fold(&mut totals.sums, becomes, add_sums);
        fold(&mut totals.counts, |key| gone.count(key), add_counts);
        self.base.kernel.retain(|netns, _| stays(netns));
        self.base.cookies.retain(|netns, _| stays(netns));
        self.newest.retain(|netns, _| stays(netns));
        self.cookies.retain(|netns, _| stays(netns));
        self.told.retain(|(netns, _), _| stays(netns));
        self.doubted.retain(|netns| stays(netns));
        self.doubtful.extend(&gone.namespaces);
    }

    /// Namespaces that were there at the start, but could not be read.
    pub fn unreadable(&mut self, netns: impl IntoIterator<Item = u32>) {
        self.unknown.extend(netns);
    }

    /// Namespaces of which the kernel's count since the start is not known.
    pub const fn unknown(&self) -> &HashSet<u32> {
        &self.unknown
    }

    /// Namespaces whose counters are known from the beginning to this sample, whether they moved or not.
    pub fn accounted(&self, last: &Sample) -> BTreeSet<u32> {
        let known = last.kernel.keys().copied();
        known
            .filter(|netns| !self.ended.contains(netns) && self.unknown_in(*netns, last).is_none())
            .collect()
    }

    /// Whether the counters stood still when the first sample was taken.
    pub const fn base_was_moving(&self) -> bool {
        self.base.moving
    }

    /// Whether the net cookie of a namespace has to be read with its counters, `reading` if they are read already: where
    /// nothing moves it does not matter whose number it is.
    pub fn needs_cookie(&self, netns: u32, sums: &Sums, reading: Option<&Reading>) -> bool {
        let has_seen = sums.get(&netns) != self.base.totals.sums.get(&netns);
        let has_counted = reading.is_some_and(|now| self.newest.get(&netns) != Some(now));
        has_seen || has_counted || !self.cookies.contains_key(&netns)
    }

    /// Namespaces were looked for, after the hooks had seen so much. Whoever had the number of one that was not found may
    /// have ended, and another one may get it before the next look.
    pub fn looked(&mut self, sums: &Sums, is_there: impl Fn(u32) -> bool) {
        let moved = sums
            .iter()
            .filter(|(netns, seen)| self.base.totals.sums.get(netns) != Some(seen));
        let missing = moved.map(|(netns, _)| *netns);
        self.doubtful
            .extend(missing.filter(|netns| !is_there(*netns)));
    }

    /// Remembers the newest counters and net cookies, so that a namespace that ends is not
    /// forgotten. `present` are all that exist, readable or not. One that was
    /// not there at the start was made since, and began at 0.
    pub fn observe(
        &mut self,
        present: &[u32],
        kernel: &BTreeMap<u32, Reading>,
        cookies: &BTreeMap<u32, u64>,
    ) {
        let present: HashSet<u32> = present.iter().copied().collect();
        let gone = self.newest.keys().filter(|netns| !present.contains(netns));
        self.ended.extend(gone);
        for (netns, reading) in kernel {
            let newest = self.newest.entry(*netns).or_default();
            // Counters never fall, and what ended does not come back.
            let fell = newest.iter().zip(reading).any(|(newest, now)| now < newest);
            if fell || self.ended.contains(netns) {
                self.unknown.insert(*netns);
                self.reused.insert(*netns);
            }
            *newest = *reading;
        }
        for (netns, cookie) in cookies {
            let before = self.cookies.insert(*netns, *cookie);
            if before.is_some_and(|before| before != *cookie) {
                self.unknown.insert(*netns);
                self.reused.insert(*netns);
            }
        }
        self.fresh.clone_from(cookies);
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
        self.is_unsettled = false;
        for (netns, now) in kernel {
            if before.get(netns) != after.get(netns) || self.unknown.contains(netns) {
                continue;
            }
            let unattributed = self.unattributed(*netns, now, after);
            if self.is_of_several(*netns, &unattributed) {
                // Twice in a row, here too.
                if self.doubted.insert(*netns) {
                    self.is_unsettled = true;
                } else {
                    self.unknown.insert(*netns);
                    self.reused.insert(*netns);
                }
                continue;
            }
            self.doubted.remove(netns);
            for (slot, unattributed) in unattributed.into_iter().enumerate() {
                let (told, last) = self.told.entry((*netns, slot)).or_default();
                // Twice in a row: the kernel counts a moment before the hook does.
                if unattributed != *told && unattributed == *last {
                    found.push(Residual {
                        netns: *netns,
                        netns_name: None,
                        counter: counter::NAMES[slot].1,
                        unattributed,
                        news: unattributed - *told,
                    });
                    *told = unattributed;
                }
                *last = unattributed;
                self.is_unsettled |= unattributed != *told;
            }
        }
        found
    }

    /// Whether a difference was found that has to be found once more before it is told.
    pub const fn is_unsettled(&self) -> bool {
        self.is_unsettled
    }

    /// What the kernel counted since the base and no hook saw.
    fn unattributed(&self, netns: u32, now: &Reading, sums: &Sums) -> [i64; counter::DECISIVE] {
        let base = self.base.kernel.get(&netns).copied().unwrap_or_default();
        let seen = self.sums_since(sums, netns);
        std::array::from_fn(|slot| now[slot].saturating_sub(base[slot]) as i64 - seen[slot] as i64)
    }

    /// Namespaces that the hooks do not explain, as far as that is known: they may not have been read at the right moment.
    pub fn differing(&self, kernel: &BTreeMap<u32, Reading>, sums: &Sums) -> Vec<u32> {
        let known = kernel
            .iter()
            .filter(|(netns, _)| !self.unknown.contains(netns));
        known
            .filter(|(netns, now)| self.unattributed(**netns, now, sums) != [0; counter::DECISIVE])
            .map(|(netns, _)| *netns)
            .collect()
    }

    /// Whether that difference is one between what several namespaces did and what one of them counted. The kernel counts
    /// first, so the hooks see no more than that. Of a namespace that is the one of the start by its cookie,
    /// whatever is found is true; of another one it is not known who had its number before.
    fn is_of_several(&self, netns: u32, unattributed: &[i64; counter::DECISIVE]) -> bool {
        let cookie = self.base.cookies.get(&netns);
        let is_the_same = cookie.is_some() && cookie == self.fresh.get(&netns);
        let is_impossible = |n: &i64| *n < 0 || *n > 0 && self.doubtful.contains(&netns);
        !is_the_same && unattributed.iter().any(is_impossible)
    }

    /// Why the kernel's count of a namespace is not known by this sample; `None` if it is.
    fn unknown_in(&self, netns: u32, last: &Sample) -> Option<NoKernel> {
        let Some(now) = last.kernel.get(&netns) else {
            let is_there = last.unread.contains_key(&netns);
            return Some(if is_there {
                NoKernel::Unread
            } else {
                NoKernel::Ended
            });
        };
        if self.reused.contains(&netns) {
            return Some(NoKernel::NumberReused);
        }
        if self.unknown.contains(&netns) {
            return Some(NoKernel::UnreadBefore);
        }
        let unattributed = self.unattributed(netns, now, &last.totals.sums);
        match self.is_of_several(netns, &unattributed) {
            true if last.moving => Some(NoKernel::Moving),
            true => Some(NoKernel::NumberReused),
            false => None,
        }
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

    /// The rows of every namespace in which something moved, and of `always`: even where nothing of it is known.
    pub fn rows(&self, last: &Sample, user: &LostInUserSpace, always: u32) -> Vec<Row> {
        let mut netns: Vec<u32> = self
            .newest
            .keys()
            .chain(last.totals.sums.keys())
            .copied()
            .chain((always != 0).then_some(always))
            .collect();
        netns.sort_unstable();
        netns.dedup();
        netns
            .into_iter()
            .flat_map(|netns| {
                let mut rows = self.rows_of(netns, last, user);
                if !rows.iter().any(Row::moved) && netns != always {
                    rows.clear();
                }
                // The first ones belong together; of the others only what moved is news.
                let rows = rows.into_iter().enumerate();
                rows.filter(|(slot, row)| *slot < counter::ALWAYS_SHOWN || row.moved())
            })
            .map(|(_, row)| row)
            .collect()
    }

    /// What was lost in user space; of namespaces that are told of together it is what no other row has.
    fn lost_by_user(&self, netns: u32, last: &Sample, user: &LostInUserSpace) -> Reading {
        if netns != NAMESPACES {
            return user.0.get(&netns).copied().unwrap_or_default();
        }
        let has_row =
            |netns: &u32| self.newest.contains_key(netns) || last.totals.sums.contains_key(netns);
        let mut sum = Reading::default();
        for (_, lost) in user.0.iter().filter(|(netns, _)| !has_row(netns)) {
            for (sum, lost) in sum.iter_mut().zip(lost) {
                *sum += lost;
            }
        }
        sum
    }

    fn rows_of(&self, netns: u32, last: &Sample, user: &LostInUserSpace) -> Vec<Row> {
        let sums = self.sums_since(&last.totals.sums, netns);
        let since = |part: Part| {
            let now = part_of(&last.totals, netns, part);
            let before = part_of(&self.base.totals, netns, part);
            move |slot: usize| now[slot].saturating_sub(before[slot])
        };
        let shed = since(|value| value.shed);
        let left_out = since(|value| value.sampled);
        let user = self.lost_by_user(netns, last, user);
        let base = self.base.kernel.get(&netns).copied().unwrap_or_default();
        let no_kernel = self.unknown_in(netns, last);
        let now = last.kernel.get(&netns).filter(|_| no_kernel.is_none());
        (0..counter::DECISIVE)
            .map(|slot| {
                let kernel = now.map(|now| now[slot].saturating_sub(base[slot]));
                let sampled = left_out(slot).min(sums[slot]);
                let lost = (shed(slot) + user[slot]).min(sums[slot] - sampled);
                Row {
                    netns,
                    counter: counter::NAMES[slot].1,
                    kernel,
                    no_kernel,
                    seen: sums[slot] - sampled - lost,
                    sampled,
                    lost,
                    unattributed: kernel.map(|kernel| kernel as i64 - sums[slot] as i64),
                }
            })
            .collect()
    }
}

type Part = fn(&CountValue) -> u64;

/// How far each counter moved with a part of the events: those that found no room in the ring, say.
fn part_of(totals: &Totals, netns: u32, part: Part) -> Reading {
    let mut sum = Reading::default();
    for (key, value) in &totals.counts {
        if key.netns == netns {
            for (slot, sum) in sum.iter_mut().enumerate() {
                *sum += part(value) * u64::from(key.moved >> slot & 1);
            }
        }
    }
    sum
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
