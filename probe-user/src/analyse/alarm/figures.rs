//! What the listeners of a place went through since an incident began: readings come in, with all since the watch began in
//! them, and what was since the first of them goes out.

use std::collections::BTreeMap;

use crate::model::{Accepted, ListenerStatsRow};

/// Readings that come later do not tell what was accepted meanwhile.
const LATE_NS: u64 = 200_000_000;

/// Listeners of one place.
const LISTENERS_AT_MOST: usize = 1024;

/// The readings of one place.
pub(super) struct Figures {
    /// When everything that is told of has begun.
    began_ns: u64,
    last_ns: u64,
    /// What was before; `None` until the first reading.
    base: Option<BTreeMap<u64, ListenerStatsRow>>,
    /// By cookie, what was since.
    pub newest: BTreeMap<u64, ListenerStatsRow>,
    /// A reading came late, or none comes.
    pub are_unknown: bool,
}

impl Figures {
    pub(super) const fn since(began_ns: u64) -> Self {
        Self {
            began_ns,
            last_ns: began_ns,
            base: None,
            newest: BTreeMap::new(),
            are_unknown: false,
        }
    }

    /// Whether the next reading should have come.
    pub(super) const fn are_late(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.last_ns) > LATE_NS
    }

    /// Takes a reading, and says what has changed since the one before.
    pub(super) fn read(
        &mut self,
        mono_ns: u64,
        rows: &[ListenerStatsRow],
    ) -> Vec<ListenerStatsRow> {
        self.are_unknown |= self.are_late(mono_ns);
        self.last_ns = mono_ns.max(self.began_ns);
        if self.are_unknown {
            self.newest.clear();
            return Vec::new();
        }
        let base = self.base.get_or_insert_with(|| {
            let all = rows.iter().take(LISTENERS_AT_MOST);
            all.map(|row| (row.cookie, row.clone())).collect()
        });
        let mut changed = Vec::new();
        for row in rows.iter().take(LISTENERS_AT_MOST) {
            let since = match base.get(&row.cookie) {
                Some(before) => since(before, row),
                // It began to listen, or to be called, since then.
                None => row.clone(),
            };
            if !self
                .newest
                .get(&row.cookie)
                .is_some_and(|old| is_same(old, &since))
            {
                self.newest.insert(row.cookie, since.clone());
                changed.push(since);
            }
        }
        changed
    }
}

fn is_same(one: &ListenerStatsRow, other: &ListenerStatsRow) -> bool {
    let moves = |row: &ListenerStatsRow| {
        (
            row.established,
            row.accepted,
            row.queued,
            row.accept_queue,
            row.reset,
        )
    };
    moves(one) == moves(other)
}

/// What was after the first of two readings. How long connections waited is not told apart.
fn since(before: &ListenerStatsRow, row: &ListenerStatsRow) -> ListenerStatsRow {
    let accepted_before = before.accepted.number();
    let accepted = match (row.accepted, accepted_before) {
        (Accepted::Counted(n), Some(before)) => Accepted::Counted(n.saturating_sub(before)),
        (Accepted::Derived(n), Some(before)) => Accepted::Derived(n.saturating_sub(before)),
        (_, None) | (Accepted::Unknown, _) => Accepted::Unknown,
    };
    // A peak that was not passed since is of before.
    let peak = |(before, _), (now, limit), at_least| {
        let since = if now > before { now } else { at_least };
        (since, limit)
    };
    ListenerStatsRow {
        established: row.established.saturating_sub(before.established),
        accepted,
        accepted_counted: row.accepted_counted.saturating_sub(before.accepted_counted),
        reset: row.reset.saturating_sub(before.reset),
        cookies_sent: row.cookies_sent.saturating_sub(before.cookies_sent),
        accept_queue: peak(
            before.accept_queue,
            row.accept_queue,
            row.queued.unwrap_or(0),
        ),
        syn_queue: peak(before.syn_queue, row.syn_queue, 0),
        waits: Default::default(),
        refusals: None,
        ..row.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const BEGAN: u64 = 1000 * MS;

    fn row(cookie: u64, accepted: u64, established: u64) -> ListenerStatsRow {
        ListenerStatsRow {
            cookie,
            accepted: Accepted::Counted(accepted),
            established,
            queued: Some(3),
            accept_queue: (9, 2),
            ..ListenerStatsRow::default()
        }
    }

    fn accepted(rows: &[ListenerStatsRow]) -> Vec<(u64, Option<u64>)> {
        let rows = rows.iter();
        rows.map(|row| (row.cookie, row.accepted.number()))
            .collect()
    }

    #[test]
    fn what_was_before_does_not_count() {
        let mut figures = Figures::since(BEGAN);
        let first = figures.read(BEGAN + 100 * MS, &[row(1, 5000, 5003)]);
        assert_eq!(accepted(&first), [(1, Some(0))]);
        assert_eq!((first[0].established, first[0].accept_queue), (0, (3, 2)));
        let same = figures.read(BEGAN + 200 * MS, &[row(1, 5000, 5003)]);
        assert_eq!(accepted(&same), []);
        let more = figures.read(BEGAN + 300 * MS, &[row(1, 5002, 5003), row(2, 7, 7)]);
        assert_eq!(accepted(&more), [(1, Some(2)), (2, Some(7))]);
        assert!(!figures.are_unknown);
    }

    #[test]
    fn a_reading_that_comes_late_tells_nothing() {
        let mut figures = Figures::since(BEGAN);
        assert!(figures.read(BEGAN + 300 * MS, &[row(1, 1, 1)]).is_empty());
        assert!(
            figures.are_unknown,
            "what was before the first is not known"
        );
        let mut figures = Figures::since(BEGAN);
        figures.read(BEGAN + 100 * MS, &[row(1, 1, 1)]);
        assert!(figures.read(BEGAN + 500 * MS, &[row(1, 2, 2)]).is_empty());
        assert!(figures.newest.is_empty());
        assert!(figures.read(BEGAN + 600 * MS, &[row(1, 2, 2)]).is_empty());
    }
}
