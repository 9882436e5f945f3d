//! Reads the per-CPU maps that hold the exact counts and adds up their CPUs.

use std::collections::HashMap;

use aya::{
    Ebpf,
    maps::{HashMap as AyaHashMap, MapData, PerCpuArray, PerCpuHashMap},
};
use probe_common::{ClientKey, CountKey, CountValue, Health, NetnsSums, counter};
use zerocopy::{FromBytes, IntoBytes};

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
}

/// Everything counted so far, all CPUs added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub counts: HashMap<CountKey, CountValue>,
    /// By inode number of the namespace.
    pub sums: HashMap<u32, [u64; counter::SLOTS]>,
    pub health: Health,
}

/// What is known of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSeen {
    /// CLOCK_MONOTONIC.
    pub last_ns: u64,
    /// How many of its events were left out of the detail.
    pub sampled: u64,
}

impl Counts {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, String> {
        let mut map = |name: &str| ebpf.take_map(name).ok_or(format!("it has no map {name}"));
        let bad = |error: aya::maps::MapError| error.to_string();
        Ok(Self {
            counts: map("COUNTS")?.try_into().map_err(bad)?,
            sums: map("SUMS")?.try_into().map_err(bad)?,
            health: map("HEALTH")?.try_into().map_err(bad)?,
            clients: map("CLIENTS")?.try_into().map_err(bad)?,
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
        Totals {
            sums: self.sums(),
            counts: self.counts(),
            health: self.health(),
        }
    }

    /// By listener and by what happened.
    pub fn counts(&self) -> HashMap<CountKey, CountValue> {
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
            }
        }
        counts
    }

    /// Every client that is known, when it was last seen and how many of its events were left out.
    pub fn clients(&self) -> Vec<(ClientKey, ClientSeen)> {
        let read = |(key, [last_ns, sampled]): ([u8; CLIENT], [u64; 2])| {
            let key = ClientKey::read_from_bytes(key.as_bytes()).ok()?;
            Some((key, ClientSeen { last_ns, sampled }))
        };
        self.clients.iter().flatten().filter_map(read).collect()
    }

    /// Makes room for others.
    pub fn forget_client(&mut self, key: &ClientKey) {
        if let Ok(bytes) = <[u8; CLIENT]>::try_from(key.as_bytes()) {
            // One that is gone already is forgotten.
            let _ = self.clients.remove(&bytes);
        }
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
            total.clients_full += one.clients_full;
        }
        total
    }
}
