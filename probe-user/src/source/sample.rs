//! The kernel's counters and the hooks' sums of one moment.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use probe_common::counter;

use crate::{
    analyse::reconcile::Reconciler,
    host::{
        Host,
        clock::mono_ns,
        netstat::{self, NetstatError},
    },
    loader::{Probe, ReadError},
    model::{
        counted::Totals,
        reading::{Reading, Sample},
    },
};

/// Tries to find each namespace still while the hooks see nothing, at least, and for how long it is tried: where others want the
/// processor too, a try takes as long as they let it.
const TRIES: usize = 20;
const TIME: Duration = Duration::from_millis(100);

/// Each namespace is read once, but for those that are left when so much time is over.
const READ_AT_MOST: Duration = Duration::from_secs(2);

/// After that it is tried for so long, where thousands of namespaces move.
const SETTLE_AT_MOST: Duration = Duration::from_millis(300);

/// Longer than a packet stays inside a listener.
const UNDER_WAY: Duration = Duration::from_micros(200);

/// Namespaces that are there and cannot be read, with the reasons. One that has ended meanwhile is not among them.
pub type Unreadable = BTreeMap<u32, String>;

/// The decisive counters of every namespace that can be read, or of one.
#[derive(Default)]
pub struct Readings {
    /// The kernel's own counters, by namespace.
    pub kernel: BTreeMap<u32, Reading>,
    /// Namespaces that could not be read.
    pub unread: Unreadable,
    /// All that are there, whether they can be read or not.
    pub present: Vec<u32>,
    /// Net cookies, where they are needed.
    pub cookies: BTreeMap<u32, u64>,
}

impl Readings {
    /// Nothing is read yet.
    fn begin(host: &Host) -> Self {
        Self {
            present: host.namespaces().iter().collect(),
            ..Self::default()
        }
    }

    /// Those that are asked for.
    fn wanted(&self, only: Option<u32>) -> Vec<u32> {
        let present = self.present.iter().copied();
        let wanted = present.filter(|netns| only.is_none_or(|only| only == *netns));
        let mut wanted: Vec<u32> = wanted.collect();
        // The host's own is the first that was made.
        wanted.sort_unstable();
        wanted
    }

    /// Reads this one, anew if it was read before. One that has ended is not among them any more.
    fn read(&mut self, host: &mut Host, netns: u32, cookie: Cookie<'_>) {
        self.kernel.remove(&netns);
        self.unread.remove(&netns);
        self.cookies.remove(&netns);
        // First, so that the number is still the same namespace's when its counters are read.
        let mut known = cookie(host, netns, None);
        match one(host, netns) {
            Ok(mut reading) => {
                if known.is_none() {
                    known = cookie(host, netns, Some(&reading));
                    match known.map(|_| one(host, netns)) {
                        Some(Ok(again)) => reading = again,
                        Some(Err(_)) => known = None,
                        None => {}
                    }
                }
                self.kernel.insert(netns, reading);
                self.cookies.extend(known.map(|cookie| (netns, cookie)));
            }
            Err(error) if error.is_gone() => {}
            Err(error) => drop(self.unread.insert(netns, error.to_string())),
        }
    }
}

/// The cookie of a namespace of which this was read, if it is needed.
pub type Cookie<'a> = &'a dyn Fn(&mut Host, u32, Option<&Reading>) -> Option<u64>;

fn one(host: &Host, netns: u32) -> Result<Reading, NetstatError> {
    let counters = netstat::read_tcp_ext(&mut host.namespaces(), netns)?;
    let names = std::array::from_fn(|slot| counter::NAMES[slot].1);
    // A counter that this kernel does not have never moves.
    Ok(counters.all(names).map(Option::unwrap_or_default))
}

/// The decisive counters of every namespace, or of one.
pub fn readings(host: &mut Host, only: Option<u32>, cookie: Cookie<'_>) -> Readings {
    let mut readings = Readings::begin(host);
    for netns in readings.wanted(only) {
        readings.read(host, netns, cookie);
    }
    readings
}

/// Where something moves, by the socket that is kept for questions anyway; elsewhere it does not matter whose number it is.
pub fn cookie_if_needed(
    reconciler: &Reconciler,
    sums: &Sums,
) -> impl Fn(&mut Host, u32, Option<&Reading>) -> Option<u64> {
    |host, netns, reading| {
        let is_needed = reconciler.needs_cookie(netns, sums, reading);
        is_needed.then(|| host.netns_cookie(netns)).flatten()
    }
}

/// Reads both so that they belong together; with them comes the moment up to which they count (CLOCK_MONOTONIC). Each
/// namespace is read once, and again only if the hooks saw something in it meanwhile.
///
/// A processor can be taken away, by a hypervisor say, between the kernel's count and the hook's, for longer than any wait
/// here: then the kernel is ahead for a while, never behind. So a sample that is held against an earlier one is good where
/// both moved by the same; a difference counts only if it stays to the end. The first one is good if nothing was seen until
/// a second look. A try whose reading of the hooks' sums fails is none.
///
/// Where thousands of namespaces never stand still it ends after a while, and says that they move.
pub fn take<P: Counting>(
    probe: &mut P,
    host: &mut Host,
    only: Option<u32>,
    against: Option<&Reconciler>,
    meanwhile: impl Fn(&mut P),
) -> Result<(Sample, u64), ReadError> {
    let mut taking = Taking::begin(host, only, against);
    loop {
        taking.tries += 1;
        match taking.once(probe, &meanwhile) {
            Ok(Some(taken)) => return Ok(taken),
            Err(error) if taking.is_late() => return Err(error),
            Ok(None) | Err(_) => {}
        }
    }
}

pub type Sums = HashMap<u32, [u64; counter::SLOTS]>;

/// Whoever counts what the hooks see.
pub trait Counting {
    /// How far the counters of each namespace moved inside the hooks.
    fn sums(&self) -> Result<Sums, ReadError>;
    /// The same with everything else.
    fn totals(&self) -> Result<Totals, ReadError>;
}

impl Counting for Probe {
    fn sums(&self) -> Result<Sums, ReadError> {
        self.counts().sums()
    }

    fn totals(&self) -> Result<Totals, ReadError> {
        self.counts().totals()
    }
}

/// A sample that is being taken.
struct Taking<'a> {
    host: &'a mut Host,
    against: Option<&'a Reconciler>,
    began: Instant,
    tries: usize,
    /// When each namespace had been read once.
    all_read: Option<Instant>,
    wanted: Vec<u32>,
    /// Namespaces that are read at the next try.
    due: Vec<u32>,
    readings: Readings,
    /// What the hooks had seen before each reading.
    before: Sums,
}

impl<'a> Taking<'a> {
    fn begin(host: &'a mut Host, only: Option<u32>, against: Option<&'a Reconciler>) -> Self {
        let readings = Readings::begin(host);
        let wanted = readings.wanted(only);
        Self {
            host,
            against,
            began: Instant::now(),
            tries: 0,
            all_read: None,
            due: wanted.clone(),
            wanted,
            readings,
            before: Sums::new(),
        }
    }

    /// Whether it is not tried again.
    fn is_late(&self) -> bool {
        let has_settled_late = |at: Instant| at.elapsed() >= SETTLE_AT_MOST;
        self.tries >= TRIES && self.began.elapsed() >= TIME
            || self.all_read.is_some_and(has_settled_late)
    }

    /// One try; `None` if it has to be tried again.
    fn once<P: Counting>(
        &mut self,
        probe: &mut P,
        meanwhile: impl Fn(&mut P),
    ) -> Result<Option<(Sample, u64)>, ReadError> {
        let before = probe.sums()?;
        meanwhile(probe);
        self.read(&before);
        // What was under way while the counters were read is in the sums by now.
        std::thread::sleep(UNDER_WAY);
        let is_late = self.is_late();
        let after = probe.sums()?;
        self.due = self.moved(&after);
        if let Some(reconciler) = self.against {
            let differing = reconciler.differing(&self.readings.kernel, &after);
            self.due.extend(differing);
        }
        if !self.due.is_empty() && !is_late {
            return Ok(None);
        }
        let totals = probe.totals()?;
        let at_ns = mono_ns();
        let moved = self.moved(&probe.sums()?);
        let is_good = moved.is_empty() && (self.against.is_some() || self.tries > 1);
        let moving = !moved.is_empty();
        if !is_good && !is_late {
            self.due = moved;
            return Ok(None);
        }
        let readings = std::mem::take(&mut self.readings);
        let sample = Sample {
            kernel: readings.kernel,
            unread: readings.unread,
            present: readings.present,
            cookies: readings.cookies,
            totals,
            moving,
        };
        Ok(Some((sample, at_ns)))
    }

    /// Reads those that are due, after the hooks had seen so much.
    fn read(&mut self, before: &Sums) {
        let against = self.against;
        let cookie = |host: &mut Host, netns, reading: Option<&Reading>| match against {
            // Whoever was asked for all listeners a moment before had this cookie. If another one has the number by now, the two
            // are found to differ.
            None => host.last_netns_cookie(netns),
            Some(reconciler) => cookie_if_needed(reconciler, before)(host, netns, reading),
        };
        let latest = self.began + READ_AT_MOST;
        for netns in std::mem::take(&mut self.due) {
            if self.all_read.is_none() && Instant::now() > latest {
                let why = format!("there was no time left for it after {READ_AT_MOST:?}");
                self.readings.unread.insert(netns, why);
                continue;
            }
            self.readings.read(self.host, netns, &cookie);
            match before.get(&netns) {
                Some(seen) => drop(self.before.insert(netns, *seen)),
                None => drop(self.before.remove(&netns)),
            }
        }
        self.all_read.get_or_insert_with(Instant::now);
    }

    /// Namespaces in which the hooks have seen something since they were read.
    fn moved(&self, now: &Sums) -> Vec<u32> {
        let wanted = self.wanted.iter().copied();
        let moved = wanted.filter(|netns| now.get(netns) != self.before.get(netns));
        moved.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, ops::Range};

    use super::*;
    use crate::host::netns;

    /// Hooks that see something at some of the times when they are asked, and a ring with a record of each.
    struct Burst {
        netns: u32,
        asked: Cell<usize>,
        busy: Range<usize>,
        seen: Cell<u64>,
        ring: Cell<u64>,
    }

    impl Counting for Burst {
        fn sums(&self) -> Result<Sums, ReadError> {
            let nth = self.asked.replace(self.asked.get() + 1);
            if self.busy.contains(&nth) {
                self.seen.set(self.seen.get() + 1);
                self.ring.set(self.ring.get() + 1);
            }
            let mut moved = [0; counter::SLOTS];
            moved[0] = self.seen.get();
            Ok(Sums::from([(self.netns, moved)]))
        }

        fn totals(&self) -> Result<Totals, ReadError> {
            Ok(Totals {
                sums: self.sums()?,
                ..Totals::default()
            })
        }
    }

    fn check(netns: u32, busy: Range<usize>) {
        let mut burst = Burst {
            netns,
            asked: Cell::new(0),
            busy: busy.clone(),
            seen: Cell::new(0),
            ring: Cell::new(0),
        };
        let empty = |burst: &mut Burst| burst.ring.set(0);
        let taken = take(&mut burst, &mut Host::new(), Some(netns), None, empty);
        let (base, _) = taken.expect("a sample");
        assert!(!base.moving, "{busy:?}");
        let since = burst.seen.get() - base.totals.sums[&netns][0];
        assert_eq!(burst.ring.get(), since, "{busy:?}");
    }

    #[test]
    fn records_that_are_thrown_away_at_the_start_are_all_in_the_base() {
        let netns = netns::current().expect("a namespace");
        for begins in 0..12 {
            for lasts in [0, 1, 2, 7, 20] {
                check(netns, begins..begins + lasts);
            }
        }
    }
}
