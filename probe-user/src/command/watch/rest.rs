//! How long the ring's reader rests after the ring was emptied. The kernel
//! wakes a reader that has caught up at each record, and one that rests only
//! once a burst: most of what an event costs then is what a round costs.

use std::{thread, time::Duration};

/// Between two rounds.
const REST: Duration = Duration::from_millis(2);

/// The same where so many records come at once that nobody reads them one by one. With the round
/// itself it is what a person waits for a line: less than 10 ms.
const LONG_REST: Duration = Duration::from_millis(8);
const MANY_RECORDS: usize = 8;

/// What comes in at more than this in a round comes in fast enough to fill a ring of the usual size, which has room for
/// 6,898 records, if it grew thirteen times faster during a long rest.
const TOO_MANY_RECORDS: usize = 512;

/// The records of a round, and the rest after it.
#[derive(Debug, Default)]
pub struct Round {
    records: usize,
}

impl Round {
    pub const fn add(&mut self, records: usize) {
        self.records += records;
    }

    /// Ends the round. The thread itself sleeps: a runtime that waits for a timer is woken by each burst as well, and
    /// nothing that it does cannot wait for so long.
    pub fn rest(&mut self) {
        thread::sleep(self.length());
        self.records = 0;
    }

    const fn length(&self) -> Duration {
        match self.records {
            MANY_RECORDS..TOO_MANY_RECORDS => LONG_REST,
            _ => REST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_long_only_where_much_comes_and_not_too_much() {
        let check = |drains: &[usize], expect: Duration| {
            let mut round = Round::default();
            drains.iter().for_each(|records| round.add(*records));
            assert_eq!(round.length(), expect, "{drains:?}");
        };
        check(&[], REST);
        check(&[7], REST);
        check(&[8], LONG_REST);
        check(&[300, 211], LONG_REST);
        check(&[1024, 3], REST);
    }
}
