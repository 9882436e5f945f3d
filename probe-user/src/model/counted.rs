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
    pub waits: Option<Box<Waits>>,
}

impl Figures {
    /// What another time, or another processor, adds to it.
    pub fn add(&mut self, other: &Self) {
        self.stats = together(self.stats, other.stats);
        let Some(more) = &other.waits else { return };
        let Some(waits) = &mut self.waits else {
            self.waits.clone_from(&other.waits);
            return;
        };
        for (sum, more) in waits.steps.iter_mut().zip(more.steps) {
            *sum = sum.saturating_add(more);
        }
    }

    /// The same without a name.
    pub fn nameless(mut self) -> Self {
        self.stats.sock = 0;
        self.stats.bound_addr = [0; 16];
        self.stats.bound_port = 0;
        self.stats.sock_family = 0;
        self
    }
}

/// Sums are added up, and of peaks the highest is it.
pub fn together(sum: ListenerStats, one: ListenerStats) -> ListenerStats {
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

/// What two of one kind come to.
pub fn add_counts(sum: &mut CountValue, one: CountValue) {
    sum.events += one.events;
    sum.shed += one.shed;
    sum.sampled += one.sampled;
    sum.sampled_clients += one.sampled_clients;
}

/// The same of a namespace.
pub fn add_sums(sum: &mut [u64; counter::SLOTS], one: [u64; counter::SLOTS]) {
    for (sum, one) in sum.iter_mut().zip(one) {
        *sum += one;
    }
}

/// Runs that may have been lost, by hook.
pub type Skipped = BTreeMap<String, u64>;
