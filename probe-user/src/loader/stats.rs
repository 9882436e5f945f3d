//! Reads the maps of what listeners go through, and adds up their CPUs.

use std::collections::HashMap;

use aya::{
    Ebpf,
    maps::{Array, HashMap as AyaHashMap, MapData, MapError, PerCpuHashMap, PerCpuValues},
};
use probe_common::{Episode, EpisodeKey, ListenerStats, StatKey, Waits, wait};
use zerocopy::{IntoBytes, transmute};

use super::{aged::Aged, looks::Looks, read::ReadError};
use crate::model::{
    counted::{Figures, together},
    gone::{Gone, Names, fold},
};

const KEY: usize = size_of::<StatKey>();
const STATS: usize = size_of::<ListenerStats>();
const EPISODE_KEY: usize = size_of::<EpisodeKey>();
const EPISODE: usize = size_of::<Episode>();

/// The maps.
pub struct Stats {
    stats: Aged<PerCpuHashMap<MapData, [u8; KEY], [u8; STATS]>>,
    waits: Aged<AyaHashMap<MapData, [u8; KEY], [u32; wait::STEPS]>>,
    /// What was taken out of these.
    folded: HashMap<StatKey, Figures>,
    accept: Array<MapData, u32>,
    episodes: AyaHashMap<MapData, [u8; EPISODE_KEY], [u8; EPISODE]>,
    looks: Looks,
}

impl Stats {
    pub(super) fn take(ebpf: &mut Ebpf, looks: Looks) -> Result<Self, String> {
        let (stats, waits) = (Aged::take(ebpf, "STATS")?, Aged::take(ebpf, "WAITS")?);
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
            add_waits(&mut figures, transmute!(key), &steps);
        }
        Ok(figures)
    }

    /// Whose figures were taken out of the maps.
    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = (u32, u64)> {
        self.folded.keys().map(|key| (key.netns, key.listener))
    }

    /// What was taken out of the maps of these is counted together from here on.
    pub(super) fn forget(&mut self, gone: &Gone) {
        let becomes = |key: &StatKey| gone.figures(key);
        fold(&mut self.folded, becomes, |sum, one| {
            sum.add(&one.nameless());
        });
        // Nobody asked for these.
        self.folded.retain(|key, _| key.listener != 0);
    }

    /// Takes everything out of a generation of maps that nothing writes to any more.
    pub(super) fn fold(&mut self, generation: u32, newest: &mut Names) -> Result<(), ReadError> {
        let _look = self.looks.begin();
        let folded = &mut self.folded;
        (self.stats).empty(generation, |key, cpus| {
            let key: StatKey = transmute!(key);
            newest.insert((key.netns, key.listener));
            add_stats(folded, key, &cpus);
        })?;
        (self.waits).empty(generation, |key, steps| {
            add_waits(folded, transmute!(key), &steps);
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

fn add_waits(figures: &mut HashMap<StatKey, Figures>, key: StatKey, steps: &[u32; wait::STEPS]) {
    let more = Figures {
        waits: Some(Box::new(Waits { steps: *steps })),
        ..Figures::default()
    };
    figures.entry(key).or_default().add(&more);
}

/// Whether the map has no such key.
fn is_absent(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound | MapError::ElementNotFound => true,
        MapError::SyscallError(error) => error.io_error.raw_os_error() == Some(libc::ENOENT),
        _ => false,
    }
}
