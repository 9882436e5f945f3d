//! The kernel's counters and the hooks' sums of one moment.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use probe_common::counter;

use crate::{
    analyse::reconcile::{Reading, Reconciler, Sample},
    enrich::Enricher,
    host::{clock::mono_ns, netstat},
    loader::Probe,
};

/// Tries to read all counters while the hooks see nothing, at least, and for how long it is tried: where others want the
/// processor too, a try takes as long as they let it.
const TRIES: usize = 20;
const TIME: Duration = Duration::from_millis(100);

/// Longer than a packet stays inside a listener.
const UNDER_WAY: Duration = Duration::from_micros(200);

/// The decisive counters of every namespace that can be read, or of one.
pub fn readings(enricher: &mut Enricher, only: Option<u32>) -> BTreeMap<u32, Reading> {
    let namespaces: Vec<u32> = enricher
        .registry
        .iter()
        .filter(|netns| only.is_none_or(|only| only == *netns))
        .collect();
    namespaces
        .into_iter()
        .filter_map(|netns| {
            let counters = netstat::read_tcp_ext(&mut enricher.registry, netns).ok()?;
            let names = std::array::from_fn(|slot| counter::NAMES[slot].1);
            let reading: Reading = counters.all(names).map(Option::unwrap_or_default);
            Some((netns, reading))
        })
        .collect()
}

/// Reads both so that they belong together, again while the hooks see something in between; with them comes the moment up to
/// which they count (CLOCK_MONOTONIC).
///
/// A processor can be taken away, by a hypervisor say, between the kernel's count and the hook's, for longer than any wait
/// here: then the kernel is ahead for a while, never behind. So a sample that is held against an earlier one is good where
/// both moved by the same; a difference counts only if it stays to the end. The first one is good if its difference is the
/// same twice.
pub fn take(
    probe: &mut Probe,
    enricher: &mut Enricher,
    only: Option<u32>,
    against: Option<&Reconciler>,
    meanwhile: impl Fn(&mut Probe),
) -> (Sample, u64) {
    let began = Instant::now();
    let mut tries = 0;
    let mut last_ahead = None;
    let mut still = None;
    loop {
        tries += 1;
        let before = probe.counts().sums();
        meanwhile(probe);
        let kernel = readings(enricher, only);
        // What was under way while the counters were read is in the sums by now.
        std::thread::sleep(UNDER_WAY);
        let totals = probe.counts().totals();
        let at_ns = mono_ns();
        let after = probe.counts().sums();
        let moving = match only {
            Some(netns) => after.get(&netns) != before.get(&netns),
            None => after != before,
        };
        let ahead = Some(ahead(&kernel, &after));
        let good = match against {
            Some(reconciler) => reconciler.agrees(&kernel, &after),
            None => ahead == last_ahead,
        };
        last_ahead = ahead;
        let sample = Sample {
            kernel,
            totals,
            moving,
        };
        let given_up = tries >= TRIES && began.elapsed() >= TIME;
        match (moving, good || given_up) {
            (false, true) => return (sample, at_ns),
            (false, false) => still = Some((sample, at_ns)),
            (true, _) if given_up => return still.unwrap_or((sample, at_ns)),
            (true, _) => {}
        }
    }
}

/// By how much the kernel's counters are ahead of the hooks' sums.
fn ahead(
    kernel: &BTreeMap<u32, Reading>,
    sums: &HashMap<u32, [u64; counter::SLOTS]>,
) -> BTreeMap<u32, [i64; counter::DECISIVE]> {
    let of_netns = |(netns, reading): (&u32, &Reading)| {
        let sums = sums.get(netns).copied().unwrap_or_default();
        let ahead = std::array::from_fn(|slot| reading[slot].wrapping_sub(sums[slot]) as i64);
        (*netns, ahead)
    };
    kernel.iter().map(of_netns).collect()
}
