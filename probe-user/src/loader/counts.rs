//! Reads the per-CPU maps that hold the exact counts and adds up their CPUs.

use std::collections::HashMap;

use aya::{
    Ebpf,
    maps::{Array, HashMap as AyaHashMap, MapData, PerCpuArray, PerCpuHashMap},
};
use probe_common::{ClientKey, CountKey, CountValue, Health, NetnsSums, counter};
use zerocopy::{FromBytes, IntoBytes};

use super::looks::Looks;

const KEY: usize = size_of::<CountKey>();
const VALUE: usize = size_of::<CountValue>();
const SUMS: usize = size_of::<NetnsSums>();
const HEALTH: usize = size_of::<Health>();
const CLIENT: usize = size_of::<ClientKey>();

/// The maps of exact counts. Byte arrays, since aya's `Pod` cannot be given to another crate's types.
pub struct Counts {
    counts: PerCpuHashMap<MapData, [u8; KEY], [u8; VALUE]>,
    sums: PerCpuHashMap<MapData, u32, [u8; SUMS]>,
    health: PerCpuArray<MapData, [u8; HEALTH]>,
    clients: AyaHashMap<MapData, [u8; CLIENT], [u64; 2]>,
    period: Array<MapData, u64>,
    looks: Looks,
}

/// Everything counted so far, all CPUs added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub counts: HashMap<CountKey, CountValue>,
    /// By inode number of the namespace.
    pub sums: HashMap<u32, [u64; counter::SLOTS]>,
    pub health: Health,
}

impl Counts {
    pub(super) fn take(ebpf: &mut Ebpf, looks: Looks) -> Result<Self, String> {
        let mut map = |name: &str| ebpf.take_map(name).ok_or(format!("it has no map {name}"));
        let bad = |error: aya::maps::MapError| error.to_string();
        Ok(Self {
            counts: map("COUNTS")?.try_into().map_err(bad)?,
            sums: map("SUMS")?.try_into().map_err(bad)?,
            health: map("HEALTH")?.try_into().map_err(bad)?,
            clients: map("CLIENTS")?.try_into().map_err(bad)?,
            period: map("PERIOD")?.try_into().map_err(bad)?,
            looks,
        })
    }

    /// How far the counters of each namespace moved inside the hooks.
    pub fn sums(&self) -> HashMap<u32, [u64; counter::SLOTS]> {
        let _look = self.looks.begin();
        let mut sums = HashMap::new();
        for (netns, cpus) in self.sums.iter().flatten() {
            let total: &mut [u64; counter::SLOTS] = sums.entry(netns).or_default();
            for one in cpus
                .iter()
                .filter_map(|b| NetnsSums::read_from_bytes(b).ok())
            {
                for (total, moved) in total.iter_mut().zip(one.moved) {
                    *total += moved;
                }
            }
        }
        sums
    }

    /// Everything, for the summary.
    pub fn totals(&self) -> Totals {
        Totals {
            sums: self.sums(),
            counts: self.counts(),
            health: self.health(),
        }
    }

    /// By listener and by what happened.
    pub fn counts(&self) -> HashMap<CountKey, CountValue> {
        let _look = self.looks.begin();
        let mut counts: HashMap<CountKey, CountValue> = HashMap::new();
        for (key, cpus) in self.counts.iter().flatten() {
            let Ok(key) = CountKey::read_from_bytes(key.as_bytes()) else {
                continue;
            };
            let total = counts.entry(key).or_default();
            for one in cpus
                .iter()
                .filter_map(|b| CountValue::read_from_bytes(b).ok())
            {
                total.events += one.events;
                total.shed += one.shed;
                total.sampled += one.sampled;
                total.sampled_clients += one.sampled_clients;
            }
        }
        counts
    }

    /// Forgets the clients that were last seen before `mono_ns`, and says how many.
    pub fn forget_clients(&mut self, mono_ns: u64) -> u64 {
        let _look = self.looks.begin();
        let old =
            |(key, [last_ns, _]): ([u8; CLIENT], [u64; 2])| (last_ns < mono_ns).then_some(key);
        let old: Vec<_> = self.clients.iter().flatten().filter_map(old).collect();
        let gone = old.iter().filter(|key| self.clients.remove(*key).is_ok());
        gone.count() as u64
    }

    /// Begins a new period: from here on each client of which something is left out is counted anew.
    pub fn begin_period(&mut self, period: u64) {
        let _look = self.looks.begin();
        // Where that fails, clients are counted once for two lines.
        let _ = self.period.set(0, period, 0);
    }

    /// What the kernel side says of itself.
    pub fn health(&self) -> Health {
        let _look = self.looks.begin();
        let mut total = Health::default();
        let Ok(cpus) = self.health.get(&0, 0) else {
            return total;
        };
        for one in cpus.iter().filter_map(|b| Health::read_from_bytes(b).ok()) {
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
        total
    }
}
