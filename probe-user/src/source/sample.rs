//! The kernel's counters and the hooks' sums of one moment.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use probe_common::counter;

use crate::{
    analyse::reconcile::Reconciler,
    host::{Host, clock::mono_ns, netstat},
    loader::{Probe, ReadError},
    model::reading::{Reading, Sample},
};

/// Tries to read all counters while the hooks see nothing, at least, and for how long it is tried: where others want the
/// processor too, a try takes as long as they let it.
const TRIES: usize = 20;
const TIME: Duration = Duration::from_millis(100);

/// Longer than a packet stays inside a listener.
const UNDER_WAY: Duration = Duration::from_micros(200);

/// Namespaces that are there and cannot be read, with the reasons. One that has ended meanwhile is not among them.
pub type Unreadable = BTreeMap<u32, String>;

/// The decisive counters of every namespace that can be read, or of one.
pub struct Readings {
    /// The kernel's own counters, by namespace.
    pub kernel: BTreeMap<u32, Reading>,
    /// Namespaces that could not be read.
    pub unread: Unreadable,
    /// All that are there, whether they can be read or not.
    pub present: Vec<u32>,
}

/// The decisive counters of every namespace, or of one.
pub fn readings(host: &Host, only: Option<u32>) -> Readings {
    let present: Vec<u32> = host.namespaces().iter().collect();
    let (mut kernel, mut unread) = (BTreeMap::new(), Unreadable::new());
    let wanted = present.iter().copied();
    for netns in wanted.filter(|netns| only.is_none_or(|only| only == *netns)) {
        let read = netstat::read_tcp_ext(&mut host.namespaces(), netns);
        match read {
            Ok(counters) => {
                let names = std::array::from_fn(|slot| counter::NAMES[slot].1);
                // A counter that this kernel does not have never moves.
                let reading: Reading = counters.all(names).map(Option::unwrap_or_default);
                kernel.insert(netns, reading);
            }
            Err(error) if error.is_gone() => {}
            Err(error) => drop(unread.insert(netns, error.to_string())),
        }
    }
    Readings {
        kernel,
        unread,
        present,
    }
}

/// Reads both so that they belong together, again while the hooks see something in between; with them comes the moment up to
/// which they count (CLOCK_MONOTONIC).
///
/// A processor can be taken away, by a hypervisor say, between the kernel's count and the hook's, for longer than any wait
/// here: then the kernel is ahead for a while, never behind. So a sample that is held against an earlier one is good where
/// both moved by the same; a difference counts only if it stays to the end. The first one is good if its difference is the
/// same twice. A try whose reading of the hooks' sums fails is none.
pub fn take(
    probe: &mut Probe,
    host: &Host,
    only: Option<u32>,
    against: Option<&Reconciler>,
    meanwhile: impl Fn(&mut Probe),
) -> Result<(Sample, u64), ReadError> {
    let began = Instant::now();
    let mut tries = 0;
    let mut last_ahead = None;
    let mut still = None;
    loop {
        tries += 1;
        let tried = once(probe, host, only, &meanwhile);
        let given_up = tries >= TRIES && began.elapsed() >= TIME;
        let (sample, at_ns, after) = match tried {
            Ok(tried) => tried,
            Err(error) if given_up => return still.ok_or(error),
            Err(_) => continue,
        };
        let ahead = Some(ahead(&sample.kernel, &after));
        let good = match against {
            Some(reconciler) => reconciler.agrees(&sample.kernel, &after),
            None => ahead == last_ahead,
        };
        last_ahead = ahead;
        match (sample.moving, good || given_up) {
            (false, true) => return Ok((sample, at_ns)),
            (false, false) => still = Some((sample, at_ns)),
            (true, _) if given_up => return Ok(still.unwrap_or((sample, at_ns))),
            (true, _) => {}
        }
    }
}

type Sums = HashMap<u32, [u64; counter::SLOTS]>;

/// One try, and the sums after it.
fn once(
    probe: &mut Probe,
    host: &Host,
    only: Option<u32>,
    meanwhile: impl Fn(&mut Probe),
) -> Result<(Sample, u64, Sums), ReadError> {
    let before = probe.counts().sums()?;
    meanwhile(probe);
    let Readings {
        kernel,
        unread,
        present,
    } = readings(host, only);
    // What was under way while the counters were read is in the sums by now.
    std::thread::sleep(UNDER_WAY);
    let totals = probe.counts().totals()?;
    let at_ns = mono_ns();
    let after = probe.counts().sums()?;
    let moving = match only {
        Some(netns) => after.get(&netns) != before.get(&netns),
        None => after != before,
    };
    let sample = Sample {
        kernel,
        unread,
        present,
        totals,
        moving,
    };
    Ok((sample, at_ns, after))
}

/// By how much the kernel's counters are ahead of the hooks' sums.
fn ahead(kernel: &BTreeMap<u32, Reading>, sums: &Sums) -> BTreeMap<u32, [i64; counter::DECISIVE]> {
    let of_netns = |(netns, reading): (&u32, &Reading)| {
        let sums = sums.get(netns).copied().unwrap_or_default();
        let ahead = std::array::from_fn(|slot| reading[slot].wrapping_sub(sums[slot]) as i64);
        (*netns, ahead)
    };
    kernel.iter().map(of_netns).collect()
}
