//! Reads the per-CPU maps that hold the exact counts and adds up their CPUs.

use std::collections::HashMap;

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray, PerCpuHashMap},
};
use probe_common::{CountKey, CountValue, Health, NetnsSums, counter};
use zerocopy::{FromBytes, IntoBytes};

const KEY: usize = size_of::<CountKey>();
const VALUE: usize = size_of::<CountValue>();
const SUMS: usize = size_of::<NetnsSums>();
const HEALTH: usize = size_of::<Health>();

/// The maps of exact counts. Byte arrays, since aya's `Pod` cannot be given to another crate's types.
pub struct Counts {
    counts: PerCpuHashMap<MapData, [u8; KEY], [u8; VALUE]>,
    sums: PerCpuHashMap<MapData, u32, [u8; SUMS]>,
    health: PerCpuArray<MapData, [u8; HEALTH]>,
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
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, String> {
        let mut map = |name: &str| ebpf.take_map(name).ok_or(format!("it has no map {name}"));
        let bad = |error: aya::maps::MapError| error.to_string();
        Ok(Self {
            counts: map("COUNTS")?.try_into().map_err(bad)?,
            sums: map("SUMS")?.try_into().map_err(bad)?,
            health: map("HEALTH")?.try_into().map_err(bad)?,
        })
    }

    /// How far the counters of each namespace moved inside the hooks.
    pub fn sums(&self) -> HashMap<u32, [u64; counter::SLOTS]> {
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
        let mut totals = Totals {
            sums: self.sums(),
            ..Totals::default()
        };
        for (key, cpus) in self.counts.iter().flatten() {
            let Ok(key) = CountKey::read_from_bytes(key.as_bytes()) else {
                continue;
            };
            let total = totals.counts.entry(key).or_default();
            for one in cpus
                .iter()
                .filter_map(|b| CountValue::read_from_bytes(b).ok())
            {
                total.events += one.events;
                total.shed += one.shed;
            }
        }
        totals.health = self.health();
        totals
    }

    /// What the kernel side says of itself.
    pub fn health(&self) -> Health {
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
        }
        total
    }
}
