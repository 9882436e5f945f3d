//! Facts by the time slot that they fall into: what is known of one slot does not depend on the order in which it was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::CLOSE_NS;
use crate::model::{
    ThreadState,
    incident::{Fact, Row, What},
};

/// As fine as looks come.
const WIDTH_NS: u64 = 50_000_000;

/// Slots of twice this width would not tell incidents apart.
const WIDEST_NS: u64 = 16 * WIDTH_NS;

/// Slots of listeners that are remembered of one place.
const CELLS_AT_MOST: usize = 4096;

/// So much of what was before and after drops is kept.
const KEPT_NS: u64 = 2 * CLOSE_NS;

/// Client addresses that are remembered of one place.
const CLIENTS_AT_MOST: usize = 65_536;

/// One listener in one slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    /// When its first drop was, and its last.
    pub dropped: Option<(u64, u64)>,
    pub causes: BTreeMap<String, u64>,
    /// Drops of which nothing else is known, and when that was said last.
    pub left_out: BTreeMap<String, u64>,
    pub left_out_ns: Option<u64>,
    pub clients: BTreeSet<IpAddr>,
    /// There were more.
    pub clients_missing: bool,
    /// Length and limit of the accept queue where it was longest.
    pub depth: Option<(u32, u32)>,
    /// When the queue was over its limit, for the first time and the last.
    pub full: Option<(u64, u64)>,
    /// The newest look, with its length.
    pub look: Option<(u64, u32)>,
    /// The newest row.
    pub row: Option<(u64, Row)>,
    pub doing: BTreeMap<ThreadState, u64>,
}

/// The slots of one place.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    pub width_ns: u64,
    /// By slot and cookie.
    pub cells: BTreeMap<(u64, u64), Cell>,
    clients: usize,
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            width_ns: WIDTH_NS,
            cells: BTreeMap::new(),
            clients: 0,
        }
    }
}

fn around(one: Option<(u64, u64)>, other: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        _ => one.or(other),
    }
}

fn add<K: Ord, N: Copy + Into<u64>>(sums: &mut BTreeMap<K, u64>, more: BTreeMap<K, N>) {
    for (name, n) in more {
        *sums.entry(name).or_default() += n.into();
    }
}

impl Cell {
    fn of(what: What, mono_ns: u64) -> Self {
        let at = Some((mono_ns, mono_ns));
        let is_full = |(len, limit): (u32, u32)| len > limit;
        let mut cell = Self::default();
        match what {
            What::Drop {
                cause,
                client,
                queue,
            } => {
                cell.dropped = at;
                cell.causes.insert(cause, 1);
                cell.clients_missing = client.is_none();
                cell.clients.extend(client);
                cell.depth = Some(queue);
                cell.full = at.filter(|_| is_full(queue));
            }
            What::LeftOut {
                cause,
                n,
                clients_known,
            } => {
                cell.left_out.insert(cause, n);
                cell.clients_missing = !clients_known;
                cell.left_out_ns = Some(mono_ns);
            }
            What::Row(row) => {
                let queued = row.queued.filter(|_| row.limit > 0);
                cell.depth = queued.map(|len| (len, row.limit));
                cell.row = Some((mono_ns, row));
            }
            What::Look { queue, doing } => {
                cell.depth = Some(queue);
                cell.full = at.filter(|_| is_full(queue));
                cell.look = Some((mono_ns, queue.0));
                add(&mut cell.doing, doing);
            }
        }
        cell
    }

    fn merge(&mut self, other: Self) {
        self.dropped = around(self.dropped, other.dropped);
        add(&mut self.causes, other.causes);
        add(&mut self.left_out, other.left_out);
        self.left_out_ns = self.left_out_ns.max(other.left_out_ns);
        self.clients.extend(other.clients);
        self.clients_missing |= other.clients_missing;
        self.depth = self.depth.max(other.depth);
        self.full = around(self.full, other.full);
        self.look = self.look.max(other.look);
        self.row = self.row.max(other.row);
        add(&mut self.doing, other.doing);
    }

    pub(super) const fn has_drops(&self) -> bool {
        self.dropped.is_some() || self.left_out_ns.is_some()
    }

    pub(super) fn drops(&self) -> u64 {
        self.causes.values().chain(self.left_out.values()).sum()
    }
}

impl Cells {
    /// How many drops had to be let go for it.
    pub(super) fn take(&mut self, fact: Fact) -> u64 {
        let slot = fact.mono_ns / self.width_ns;
        let mut news = Cell::of(fact.what, fact.mono_ns);
        let cell = self.cells.entry((slot, fact.cookie)).or_default();
        if self.clients >= CLIENTS_AT_MOST && !news.clients.is_subset(&cell.clients) {
            news.clients.clear();
            news.clients_missing = true;
        }
        let before = cell.clients.len();
        cell.merge(news);
        self.clients += cell.clients.len() - before;
        if self.cells.len() > CELLS_AT_MOST {
            self.halve()
        } else {
            0
        }
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn has_drops(&self) -> bool {
        self.cells.values().any(Cell::has_drops)
    }

    pub(super) fn newest_ns(&self) -> u64 {
        let newest = self.cells.last_key_value();
        newest.map_or(0, |((slot, _), _)| slot * self.width_ns)
    }

    /// Forgets what is about no drop, then widens slots, then lets the oldest go. How many drops had to be let go.
    pub(super) fn halve(&mut self) -> u64 {
        let mut let_go = 0;
        let half = self.cells.len() / 2;
        self.forget_quiet();
        while self.cells.len() > half {
            if self.width_ns < WIDEST_NS {
                self.widen();
                continue;
            }
            if let Some((_, oldest)) = self.cells.pop_first() {
                let_go += oldest.drops();
            }
        }
        self.clients = self.cells.values().map(|cell| cell.clients.len()).sum();
        let_go
    }

    fn forget_quiet(&mut self) {
        let kept = KEPT_NS / self.width_ns;
        let dropping = |((slot, _), cell): (&(u64, u64), &Cell)| cell.has_drops().then_some(*slot);
        let mut dropped: Vec<u64> = self.cells.iter().filter_map(dropping).collect();
        // Of what comes next the newest is what was before.
        dropped.push(self.newest_ns() / self.width_ns);
        self.cells.retain(|(slot, _), cell| {
            let next = dropped.partition_point(|other| other < slot);
            let is_near = |other: Option<&u64>| other.is_some_and(|o| o.abs_diff(*slot) <= kept);
            cell.has_drops()
                || cell.full.is_some()
                || is_near(dropped.get(next))
                || is_near(next.checked_sub(1).and_then(|last| dropped.get(last)))
        });
    }

    fn widen(&mut self) {
        self.width_ns *= 2;
        for ((slot, cookie), cell) in std::mem::take(&mut self.cells) {
            let wide = self.cells.entry((slot / 2, cookie)).or_default();
            wide.merge(cell);
        }
    }
}
