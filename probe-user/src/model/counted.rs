//! What the kernel side has counted, all processors added up.

use std::collections::{BTreeMap, HashMap};

use probe_common::{CountKey, CountValue, Health, ListenerStats, Waits, counter};

/// Everything counted so far, all CPUs added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// What happened, by all that decides what it is.
    pub counts: HashMap<CountKey, CountValue>,
    /// By inode number of the namespace.
    pub sums: HashMap<u32, [u64; counter::SLOTS]>,
    /// What the kernel side says of itself.
    pub health: Health,
}

/// What one listener went through so far, all CPUs taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The kernel side's figures of the listener.
    pub stats: ListenerStats,
    /// How many waited how long; `None` where nobody was accepted.
    pub waits: Option<Waits>,
}

/// Runs that may have been lost, by hook.
pub type Skipped = BTreeMap<String, u64>;
