//! One listener over the whole watch: when it accepted, and when it did not although connections waited.

use super::cells::Cell;
use crate::model::incident::{Gap, Row};

/// What its slots say, in the order of time.
#[derive(Debug, Default)]
pub(super) struct Member {
    rows: Vec<(u64, Row)>,
    looks: Vec<(u64, u32)>,
    /// When its queue was over its limit at a drop.
    full: Vec<u64>,
}

/// What a moment says of its accept queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    Row(Row),
    Look(u32),
    Full,
}

impl Member {
    /// The slots have to come in their order.
    pub(super) fn add(&mut self, cell: &Cell) {
        self.rows.extend(cell.row);
        self.looks.extend(cell.look);
        let full = cell.full.into_iter();
        self.full
            .extend(full.flat_map(|(first, last)| [first, last]));
    }

    /// Accepted since the watch began; `None` where that is not known.
    fn accepted_until(&self, mono_ns: u64) -> Option<u64> {
        if self.rows.is_empty() {
            // Nothing came and nothing went, unless the looks say otherwise.
            return (!self.has_falls()).then_some(0);
        }
        let until = self.rows.partition_point(|(at, _)| *at <= mono_ns);
        let Some((told_ns, row)) = until.checked_sub(1).map(|last| self.rows[last]) else {
            return Some(0);
        };
        let accepted = row.accepted?;
        if row.is_counted {
            return Some(accepted);
        }
        // Whatever left the queue since then was accepted too.
        let looked = self.looks.partition_point(|(at, _)| *at <= mono_ns);
        let look = looked.checked_sub(1).map(|last| self.looks[last]);
        let look = look.filter(|(at, _)| *at > told_ns);
        let left = look
            .zip(row.queued)
            .map(|((_, len), queued)| queued.saturating_sub(len));
        Some(accepted + u64::from(left.unwrap_or(0)))
    }

    pub(super) fn accepted_between(&self, from_ns: u64, to_ns: u64) -> Option<u64> {
        let before = self.accepted_until(from_ns)?;
        Some(self.accepted_until(to_ns)?.saturating_sub(before))
    }

    fn has_falls(&self) -> bool {
        self.looks.windows(2).any(|pair| pair[1].1 < pair[0].1)
    }

    /// The longest pause between looks in that time.
    pub(super) fn longest_pause(&self, from_ns: u64, to_ns: u64) -> u64 {
        let pauses = self
            .looks
            .windows(2)
            .filter(|pair| pair[0].0 <= to_ns && pair[1].0 >= from_ns)
            .map(|pair| pair[1].0 - pair[0].0);
        pauses.max().unwrap_or(0)
    }

    /// The times without an accept while connections waited; `None` where accepts are not known.
    pub(super) fn gaps(&self) -> Option<Vec<Gap>> {
        if self.rows.iter().any(|(_, row)| row.accepted.is_none()) {
            return None;
        }
        // Where a hook counts, looks have nothing to add, and their times differ from those of rows.
        let is_counted = self.rows.iter().any(|(_, row)| row.is_counted);
        let mut says: Vec<(u64, Says)> = Vec::new();
        says.extend(self.rows.iter().map(|(at, row)| (*at, Says::Row(*row))));
        says.extend(self.looks.iter().map(|(at, len)| (*at, Says::Look(*len))));
        says.extend(self.full.iter().map(|at| (*at, Says::Full)));
        says.sort_unstable();
        let mut gaps = Vec::new();
        let mut waits_since: Option<Gap> = None;
        let mut had_end = false;
        let (mut told, mut looked) = (Row::default(), 0);
        for (at_ns, says) in &says {
            let (has_accepted, waiting) = match says {
                Says::Row(row) => (row.shows_accepts_since(told), row.queued),
                Says::Look(len) => (!is_counted && *len < looked, Some(*len)),
                Says::Full => (false, Some(u32::MAX)),
            };
            match says {
                Says::Row(row) => {
                    told = Row {
                        accepted: row.accepted.max(told.accepted),
                        ..*row
                    };
                }
                Says::Look(len) => looked = *len,
                Says::Full => {}
            }
            if has_accepted || waiting == Some(0) {
                had_end = true;
                gaps.extend(waits_since.take().map(|gap| Gap {
                    to_ns: *at_ns,
                    ..gap
                }));
            }
            if waiting.is_some_and(|len| len > 0) {
                waits_since.get_or_insert(Gap {
                    from_ns: *at_ns,
                    to_ns: *at_ns,
                    at_least: !had_end,
                });
            }
        }
        let last_ns = says.last().map_or(0, |(at, _)| *at);
        gaps.extend(waits_since.map(|gap| Gap {
            to_ns: last_ns,
            at_least: true,
            ..gap
        }));
        Some(gaps)
    }
}

impl Row {
    /// Whether anything was accepted since then.
    fn shows_accepts_since(self, before: Self) -> bool {
        let entered = |row: Self| {
            let accepted = row.accepted.unwrap_or(0);
            accepted + u64::from(row.queued.unwrap_or(0))
        };
        let grown = self
            .accepted
            .unwrap_or(0)
            .saturating_sub(before.accepted.unwrap_or(0));
        // The queue is read a moment after what was established: who comes in between is missing here and found again
        // in the next row, which is no accept. Such a moment is a small part of the time between rows.
        let is_found_again = !self.is_counted
            && self.queued > before.queued
            && grown * 4 <= entered(self).saturating_sub(entered(before));
        grown > 0 && !is_found_again
    }
}
