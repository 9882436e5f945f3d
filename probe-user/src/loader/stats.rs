//! Reads the maps of what listeners go through, and adds up their CPUs.

use std::collections::HashMap;

use aya::{
    Ebpf,
    maps::{Array, HashMap as AyaHashMap, MapData, MapError, PerCpuHashMap, PerCpuValues},
};
use probe_common::{Episode, EpisodeKey, ListenerStats, StatKey, Waits, wait};
use zerocopy::{IntoBytes, transmute};

use super::{
    looks::Looks,
    pair::{Entries, Pair},
    read::ReadError,
};
use crate::model::counted::Figures;

const KEY: usize = size_of::<StatKey>();
const STATS: usize = size_of::<ListenerStats>();
const EPISODE_KEY: usize = size_of::<EpisodeKey>();
const EPISODE: usize = size_of::<Episode>();

/// The maps.
pub struct Stats {
    stats: Pair<PerCpuHashMap<MapData, [u8; KEY], [u8; STATS]>>,
    waits: Pair<AyaHashMap<MapData, [u8; KEY], [u32; wait::STEPS]>>,
    /// What was taken out of these.
    folded: HashMap<StatKey, Figures>,
    accept: Array<MapData, u32>,
    episodes: AyaHashMap<MapData, [u8; EPISODE_KEY], [u8; EPISODE]>,
    looks: Looks,
}

impl Stats {
    pub(super) fn take(ebpf: &mut Ebpf, looks: Looks) -> Result<Self, String> {
        let (stats, waits) = (Pair::take(ebpf, "STATS")?, Pair::take(ebpf, "WAITS")?);
        let mut map = |name: &str| ebpf.take_map(name).ok_or(format!("it has no map {name}"));
        let bad = |error: aya::maps::MapError| error.to_string();
        Ok(Self {
            stats,
            waits,
            folded: HashMap::new(),
            accept: map("HAVE_ACCEPT")?.try_into().map_err(bad)?,
            episodes: map("EPISODES")?.try_into().map_err(bad)?,
            looks,
        })
    }

    /// From here on a hook tells of connections that leave the queue.
    pub(super) fn have_accept(&mut self) -> Result<(), String> {
        self.accept.set(0, 1, 0).map_err(|error| error.to_string())
    }

    /// Queues that are near their limits.
    pub fn episodes(&self) -> Result<Vec<(EpisodeKey, Episode)>, ReadError> {
        let _look = self.looks.begin();
        let read = |read: Result<([u8; EPISODE_KEY], [u8; EPISODE]), MapError>| {
            let (key, value) = read.map_err(ReadError::of_map("EPISODES"))?;
            Ok((transmute!(key), transmute!(value)))
        };
        self.episodes.iter().map(read).collect()
    }

    /// Ends an episode; `false` where the kernel side has done so, and has told.
    pub fn end_episode(&mut self, key: &EpisodeKey) -> Result<bool, ReadError> {
        let _look = self.looks.begin();
        let mut raw = [0; EPISODE_KEY];
        raw.copy_from_slice(key.as_bytes());
        match self.episodes.remove(&raw) {
            Ok(()) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(ReadError::of_map("EPISODES")(error)),
        }
    }

    /// Of every listener that a packet came to.
    pub fn figures(&self) -> Result<HashMap<StatKey, Figures>, ReadError> {
        let _look = self.looks.begin();
        let mut figures = self.folded.clone();
        for read in self.stats.entries() {
            let (key, cpus) = read?;
            add_stats(&mut figures, transmute!(key), &cpus);
        }
        for read in self.waits.entries() {
            let (key, steps) = read?;
            add_waits(&mut figures, transmute!(key), steps);
        }
        Ok(figures)
    }

    /// Takes everything out of a generation of maps that nothing writes to any more.
    pub(super) fn fold(&mut self, generation: u32) -> Result<(), ReadError> {
        let _look = self.looks.begin();
        let folded = &mut self.folded;
        (self.stats).empty(generation, |key, cpus| {
            add_stats(folded, transmute!(key), &cpus)
        })?;
        (self.waits).empty(generation, |key, steps| {
            add_waits(folded, transmute!(key), steps)
        })
    }
}

fn add_stats(
    figures: &mut HashMap<StatKey, Figures>,
    key: StatKey,
    cpus: &PerCpuValues<[u8; STATS]>,
) {
    let before = figures.entry(key).or_default();
    let cpus = cpus.iter().map(|bytes| transmute!(*bytes));
    before.stats = cpus.fold(before.stats, together);
}

fn add_waits(figures: &mut HashMap<StatKey, Figures>, key: StatKey, steps: [u32; wait::STEPS]) {
    let before = &mut figures.entry(key).or_default().waits;
    let Some(before) = before else {
        *before = Some(Waits { steps });
        return;
    };
    for (before, more) in before.steps.iter_mut().zip(steps) {
        *before = before.saturating_add(more);
    }
}

/// Whether the map has no such key.
fn is_absent(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound | MapError::ElementNotFound => true,
        MapError::SyscallError(error) => error.io_error.raw_os_error() == Some(libc::ENOENT),
        _ => false,
    }
}

fn together(sum: ListenerStats, one: ListenerStats) -> ListenerStats {
    let (accept_queue_peak, accept_queue_limit) = (sum.accept_queue_peak, sum.accept_queue_limit)
        .max((one.accept_queue_peak, one.accept_queue_limit));
    let (syn_queue_peak, syn_queue_limit) =
        (sum.syn_queue_peak, sum.syn_queue_limit).max((one.syn_queue_peak, one.syn_queue_limit));
    let named = if one.sock == 0 { &sum } else { &one };
    ListenerStats {
        sock: named.sock,
        bound_addr: named.bound_addr,
        bound_port: named.bound_port,
        sock_family: named.sock_family,
        is_mptcp: sum.is_mptcp | one.is_mptcp,
        established: sum.established + one.established,
        accepted: sum.accepted + one.accepted,
        wait_max_ns: sum.wait_max_ns.max(one.wait_max_ns),
        accept_queue_peak,
        accept_queue_limit,
        syn_queue_peak,
        syn_queue_limit,
    }
}
