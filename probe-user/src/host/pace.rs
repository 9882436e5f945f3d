//! How often a scan of /proc may run: about a twentieth of the time, whatever the size of the host.
//!
//! In: when a scan began and ended. Out: whether the next one is due. It reads no clock itself and never sleeps.

use std::time::{Duration, Instant};

/// A burst of dear scans is none: no scan comes earlier than this.
const EARLY: Duration = Duration::from_millis(200);

/// A limit that adapts to what the work costs: a scan of 1 ms may run again soon, one of 50 ms waits for a second.
/// A few may follow each other at once after a rest, so that the first question of a burst is answered.
#[derive(Debug)]
pub struct Pace {
    least: Duration,
    most: Duration,
    burst: u32,
    /// When the next scan would be due if none were allowed to come early, and the last scan's rest.
    next: Option<(Instant, Duration)>,
}

impl Pace {
    /// A scan rests for twenty times its last cost, but at least `least` and at most `most`; `burst` may come early.
    pub fn new(least: Duration, most: Duration, burst: u32) -> Pace {
        Pace {
            least,
            most,
            burst,
            next: None,
        }
    }

    /// Whether it is time again.
    pub fn due(&self, now: Instant) -> bool {
        match self.next {
            None => true,
            Some((next, rest)) => now + (rest * self.burst).min(EARLY) >= next,
        }
    }

    /// To be told how long it took.
    pub fn ran(&mut self, start: Instant, end: Instant) {
        let cost = end.saturating_duration_since(start);
        let rest = (cost * 20).clamp(self.least, self.most);
        let from = self.next.map_or(end, |(next, _)| next.max(end));
        self.next = Some((from + rest, rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_dear_scan_rests_longer_than_a_cheap_one() {
        let start = Instant::now();
        let mut pace = Pace::new(ms(100), ms(1000), 0);
        assert!(pace.due(start));

        pace.ran(start, start + ms(1));
        assert!(!pace.due(start + ms(100)));
        assert!(pace.due(start + ms(101)));

        let second = start + ms(200);
        pace.ran(second, second + ms(20));
        assert!(!pace.due(second + ms(300)));
        assert!(pace.due(second + ms(420)));

        let third = start + ms(1000);
        pace.ran(third, third + ms(500));
        assert!(pace.due(third + ms(1500)));
    }

    #[test]
    fn a_burst_is_answered_and_then_rests() {
        let start = Instant::now();
        let mut pace = Pace::new(ms(100), ms(1000), 2);
        for _ in 0..3 {
            assert!(pace.due(start));
            pace.ran(start, start);
        }
        assert!(!pace.due(start));
        assert!(pace.due(start + ms(100)));
    }
}
