//! How long the ring's reader rests after the ring was emptied. The kernel
//! wakes a reader that has caught up at each record, and one that rests only
//! once a burst: most of what an event costs then is what a round costs. After
//! a record that comes alone there is nothing to rest for.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Between two rounds.
const REST: Duration = Duration::from_millis(2);

/// The same where so many records come at once that nobody reads them one by one. With the round
/// itself it is what a person waits for a line: less than 10 ms.
const LONG_REST: Duration = Duration::from_millis(8);
const MANY_RECORDS: usize = 8;

/// What comes in at more than this in a round comes in fast enough to fill a ring of the usual size, which has room for
/// 6,898 records, if it grew thirteen times faster during a long rest.
const TOO_MANY_RECORDS: usize = 512;

/// A record is alone when none has come for so long.
const QUIET: Duration = Duration::from_millis(4);

/// The records of a round, and the rest after it.
#[derive(Debug, Default)]
pub struct Round {
    records: usize,
    /// When the one before was over.
    last: Option<Instant>,
}

impl Round {
    /// So many records came at once.
    pub const fn add(&mut self, records: usize) {
        self.records += records;
    }

    /// Ends the round. The thread itself sleeps: a runtime that waits for a timer is woken by each burst as well, and
    /// nothing that it does cannot wait for so long.
    pub fn rest(&mut self) {
        if let Some(length) = self.length(Instant::now()) {
            thread::sleep(length);
        }
        self.records = 0;
        self.last = Some(Instant::now());
    }

    fn length(&self, now: Instant) -> Option<Duration> {
        let is_quiet = self.last.is_none_or(|last| now - last >= QUIET);
        match self.records {
            0..=1 if is_quiet => None,
            MANY_RECORDS..TOO_MANY_RECORDS => Some(LONG_REST),
            _ => Some(REST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_long_only_where_much_comes_and_not_too_much() {
        let now = Instant::now();
        let check = |since_last: Option<Duration>, drains: &[usize], expect: Option<Duration>| {
            let last = since_last.map(|since| now.checked_sub(since).unwrap());
            let mut round = Round { last, records: 0 };
            for records in drains {
                round.add(*records);
            }
            assert_eq!(round.length(now), expect, "{since_last:?} {drains:?}");
        };
        let soon = Some(Duration::from_millis(1));
        check(soon, &[], Some(REST));
        check(soon, &[1], Some(REST));
        check(soon, &[7], Some(REST));
        check(soon, &[8], Some(LONG_REST));
        check(soon, &[300, 211], Some(LONG_REST));
        check(soon, &[1024, 3], Some(REST));
        check(None, &[1], None);
        check(Some(QUIET), &[1], None);
        check(Some(QUIET), &[2], Some(REST));
        check(Some(QUIET), &[8], Some(LONG_REST));
    }
}
