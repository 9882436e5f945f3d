//! How much of a CPU looks may take: what has passed and what was spent come in, whether there is enough left goes out.
//! It reads no clock.

use std::time::Duration;

/// A share of the time, one part in so many: all the time.
pub(super) const ONE_IN: u32 = 300;

/// And while somebody refuses.
pub(super) const ONE_IN_NOW: u32 = 20;

/// More is not saved up: enough for a few looks at once after a rest.
const SAVED_AT_MOST: Duration = Duration::from_millis(20);

/// CPU time that may be spent.
#[derive(Debug)]
pub(super) struct Budget {
    one_in: u32,
    left: Duration,
    /// Spent beyond what there was.
    owed: Duration,
}

impl Budget {
    pub(super) const fn full(one_in: u32) -> Self {
        Self {
            one_in,
            left: SAVED_AT_MOST,
            owed: Duration::ZERO,
        }
    }

    /// So much time has passed.
    pub(super) fn passed(&mut self, time: Duration) {
        let earned = time / self.one_in;
        let paid = earned.min(self.owed);
        self.owed -= paid;
        self.left = (self.left + earned).saturating_sub(paid).min(SAVED_AT_MOST);
    }

    /// What costs this much may be begun. What costs more than is ever saved may be begun when nothing is owed.
    pub(super) fn has(&self, cost: Duration) -> bool {
        self.owed.is_zero() && self.left >= cost.min(SAVED_AT_MOST)
    }

    pub(super) fn spent(&mut self, cost: Duration) {
        let paid = cost.min(self.left);
        self.left -= paid;
        self.owed += cost.saturating_sub(paid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn no_more_is_spent_than_the_share() {
        let mut budget = Budget::full(ONE_IN);
        let (mut spent, tick) = (Duration::ZERO, ms(50));
        let time = Duration::from_mins(1);
        for _ in 0..time.as_millis() / tick.as_millis() {
            if budget.has(ms(3)) {
                budget.spent(ms(7));
                spent += ms(7);
            }
            budget.passed(tick);
        }
        let share = time / ONE_IN + SAVED_AT_MOST + ms(7);
        assert!(spent <= share, "{spent:?} of {share:?}");
        assert!(spent * 2 >= share, "{spent:?} of {share:?}");
    }

    #[test]
    fn what_is_dear_waits_for_what_is_owed() {
        let mut budget = Budget::full(ONE_IN);
        assert!(budget.has(ms(500)));
        budget.spent(ms(520));
        budget.passed(Duration::from_secs(124));
        assert!(!budget.has(Duration::ZERO));
        budget.passed(Duration::from_secs(27));
        assert!(budget.has(Duration::ZERO));
        assert!(!budget.has(ms(500)));
    }
}
