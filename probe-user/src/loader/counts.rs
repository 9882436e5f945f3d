//! Reads the per-CPU maps that hold the exact counts and adds up their CPUs.

use std::collections::HashMap;

use aya::{
    Ebpf,
    maps::{Array, HashMap as AyaHashMap, MapData, PerCpuArray, PerCpuHashMap, PerCpuValues},
};
use probe_common::{ClientKey, CountKey, CountValue, Health, NetnsSums, SumKey, counter};
use zerocopy::transmute;

use super::{aged::Aged, looks::Looks, read::ReadError};
use crate::model::{
    counted::{Totals, add_counts, add_sums},
    gone::{Gone, NAMESPACES, Names, fold},
};

const KEY: usize = size_of::<CountKey>();
const VALUE: usize = size_of::<CountValue>();
const SUMS: usize = size_of::<NetnsSums>();
const SUM_KEY: usize = size_of::<SumKey>();
const HEALTH: usize = size_of::<Health>();
const CLIENT: usize = size_of::<ClientKey>();

/// The maps of exact counts. Byte arrays, since aya's `Pod` cannot be given to another crate's types.
pub struct Counts {
    counts: Aged<OfKeys>,
    /// Without their listeners.
    rest: Aged<OfKeys>,
    anywhere: OfKeys,
    sums: Aged<PerCpuHashMap<MapData, [u8; SUM_KEY], [u8; SUMS]>>,
    /// What was taken out of the maps.
    folded: HashMap<CountKey, CountValue>,
    folded_sums: HashMap<u32, [u64; counter::SLOTS]>,
    health: PerCpuArray<MapData, [u8; HEALTH]>,
    clients: AyaHashMap<MapData, [u8; CLIENT], [u64; 2]>,
    period: Array<MapData, u64>,
    looks: Looks,
}

type OfKeys = PerCpuHashMap<MapData, [u8; KEY], [u8; VALUE]>;

impl Counts {
    pub(super) fn take(ebpf: &mut Ebpf, looks: Looks) -> Result<Self, String> {
        let (counts, rest) = (Aged::take(ebpf, "COUNTS")?, Aged::take(ebpf, "REST")?);
        let sums = Aged::take(ebpf, "SUMS")?;
        let mut map = |name: &str| ebpf.take_map(name).ok_or(format!("it has no map {name}"));
        let bad = |error: aya::maps::MapError| error.to_string();
        Ok(Self {
            counts,
            rest,
            anywhere: map("ANYWHERE")?.try_into().map_err(bad)?,
            sums,
            folded: HashMap::new(),
            folded_sums: HashMap::new(),
            health: map("HEALTH")?.try_into().map_err(bad)?,
            clients: map("CLIENTS")?.try_into().map_err(bad)?,
            period: map("PERIOD")?.try_into().map_err(bad)?,
            looks,
        })
    }

    /// Takes everything out of a generation of maps that nothing writes to any more.
    pub(super) fn fold(&mut self, generation: u32, newest: &mut Names) -> Result<(), ReadError> {
        let _look = self.looks.begin();
        let folded = &mut self.folded;
        for maps in [&mut self.counts, &mut self.rest] {
            maps.empty(generation, |key, cpus| {
                let key: CountKey = transmute!(key);
                newest.insert((key.netns, key.listener));
                add(folded, key, &cpus);
            })?;
        }
        let sums = &mut self.folded_sums;
        (self.sums).empty(generation, |key, cpus| {
            add_of_netns(sums, transmute!(key), &cpus);
        })
    }

    /// Whose counts were taken out of the maps, a name for each.
    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = (u32, u64)> {
        self.folded.keys().map(|key| (key.netns, key.listener))
    }

    /// The namespaces of which something was taken out of the maps.
    pub fn namespaces(&self) -> impl Iterator<Item = u32> {
        self.folded_sums.keys().copied()
    }

    /// What was taken out of the maps of these is counted together from here on.
    pub(super) fn forget(&mut self, gone: &Gone) {
        fold(&mut self.folded, |key| gone.count(key), add_counts);
        let becomes = |netns: &u32| gone.namespaces.contains(netns).then_some(NAMESPACES);
        fold(&mut self.folded_sums, becomes, add_sums);
    }

    /// How far the counters of each namespace moved inside the hooks.
    pub fn sums(&self) -> Result<HashMap<u32, [u64; counter::SLOTS]>, ReadError> {
        let _look = self.looks.begin();
        let mut sums = self.folded_sums.clone();
        for read in self.sums.entries() {
            let (key, cpus) = read?;
            add_of_netns(&mut sums, transmute!(key), &cpus);
        }
        Ok(sums)
    }

    /// Everything, for the summary.
    pub fn totals(&self) -> Result<Totals, ReadError> {
        Ok(Totals {
            sums: self.sums()?,
            counts: self.counts()?,
            health: self.health()?,
        })
    }

    /// By listener and by what happened.
    pub fn counts(&self) -> Result<HashMap<CountKey, CountValue>, ReadError> {
        let _look = self.looks.begin();
        let mut counts = self.folded.clone();
        let of_anywhere = self.anywhere.iter();
        let of_anywhere = of_anywhere.map(|read| read.map_err(ReadError::of_map("ANYWHERE")));
        for read in (self.counts.entries())
            .chain(self.rest.entries())
            .chain(of_anywhere)
        {
            let (key, cpus) = read?;
            add(&mut counts, transmute!(key), &cpus);
        }
        Ok(counts)
    }

    /// Forgets the clients that were last seen before `mono_ns`, and says how many.
    pub fn forget_clients(&mut self, mono_ns: u64) -> Result<u64, ReadError> {
        let _look = self.looks.begin();
        let mut old = Vec::new();
        for read in &self.clients {
            let (key, [last_ns, _]) = read.map_err(ReadError::of_map("CLIENTS"))?;
            if last_ns < mono_ns {
                old.push(key);
            }
        }
        let gone = old.iter().filter(|key| self.clients.remove(*key).is_ok());
        Ok(gone.count() as u64)
    }

    /// Begins a new period: from here on each client of which something is left out is counted anew.
    pub fn begin_period(&mut self, period: u64) {
        let _look = self.looks.begin();
        // Where that fails, clients are counted once for two lines.
        let _ = self.period.set(0, period, 0);
    }

    /// What the kernel side says of itself.
    pub fn health(&self) -> Result<Health, ReadError> {
        let _look = self.looks.begin();
        let mut total = Health::default();
        let read = self.health.get(&0, 0);
        for bytes in read.map_err(ReadError::of_map("HEALTH"))?.iter() {
            let one: Health = transmute!(*bytes);
            total.ring_full += one.ring_full;
            total.counts_full += one.counts_full;
            total.sums_full += one.sums_full;
            total.late += one.late;
            total.unreadable += one.unreadable;
            total.sampled += one.sampled;
            total.clients_new += one.clients_new;
            total.clients_full += one.clients_full;
            total.filtered += one.filtered;
            total.stats_full += one.stats_full;
        }
        Ok(total)
    }
}

fn add(
    counts: &mut HashMap<CountKey, CountValue>,
    key: CountKey,
    cpus: &PerCpuValues<[u8; VALUE]>,
) {
    let total = counts.entry(key).or_default();
    for bytes in cpus.iter() {
        add_counts(total, transmute!(*bytes));
    }
}

fn add_of_netns(
    sums: &mut HashMap<u32, [u64; counter::SLOTS]>,
    key: SumKey,
    cpus: &PerCpuValues<[u8; SUMS]>,
) {
    let total = sums.entry(key.netns).or_default();
    for bytes in cpus.iter() {
        let one: NetnsSums = transmute!(*bytes);
        add_sums(total, one.moved);
    }
}
