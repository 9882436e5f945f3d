//! When a watch looks for namespaces, and when it compares their counters with what the hooks saw. Both are asked for every
//! second, and a host may have thousands of processes and namespaces.
//!
//! In: what the hooks have seen, and whether the namespaces of the last look are still there. Out: what is due. Only the
//! registry looks at anything.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use probe_common::counter;

use crate::host::netns::Registry;

type Sums = HashMap<u32, [u64; counter::SLOTS]>;

/// How many times its own length something rests while there is something new.
const BUSY_REST: u32 = 100;

/// The same while there is nothing. A namespace that nobody has seen a packet in can wait longer to be met than a
/// difference in one that is known can wait to be told.
const QUIET_LOOK_REST: u32 = 10_000;
const QUIET_COMPARISON_REST: u32 = 2000;

/// What was done last, and how long it took the last two times. The shorter one counts: where others take the processor away
/// in between, one length says nothing, and a rest of thousands of it is long.
#[derive(Debug)]
struct Done {
    at: Instant,
    took: [Duration; 2],
}

impl Done {
    fn is_due(&self, now: Instant, is_news: bool, quiet_rest: u32) -> bool {
        let rest = if is_news { BUSY_REST } else { quiet_rest };
        let [last, before] = self.took;
        now >= self.at + last.min(before) * rest
    }

    fn again(&mut self, since: Instant, took: Duration) {
        self.at = since;
        self.took = [took, self.took[0]];
    }
}

/// When it was last done, and what the hooks had seen then.
#[derive(Debug)]
pub struct Schedule {
    look: Done,
    comparison: Done,
    sums: Sums,
    /// How often the registry had looked by then, whoever asked it to.
    looks: u64,
}

impl Schedule {
    /// Both at once.
    pub fn now() -> Self {
        let done = || Done {
            at: Instant::now(),
            took: [Duration::ZERO; 2],
        };
        Self {
            look: done(),
            comparison: done(),
            sums: Sums::new(),
            looks: 0,
        }
    }

    /// Whether to look for namespaces: soon where one may have ended, since its number may be given to another, or where something
    /// was seen in one that nobody knows.
    pub fn look(&self, now: Instant, registry: &Registry, sums: &Sums) -> bool {
        let is_unknown = |(netns, seen): (&u32, _)| {
            !registry.knows(*netns) && self.sums.get(netns) != Some(seen)
        };
        let is_news = registry.may_have_lost_one() || sums.iter().any(is_unknown);
        self.look.is_due(now, is_news, QUIET_LOOK_REST)
    }

    /// Whether to compare counters: soon where something was seen, where a difference has to be found once more before it is
    /// told, or where namespaces were looked for, so that one that is not there is noticed before another has its number.
    pub fn comparison(&self, now: Instant, looks: u64, sums: &Sums, is_unsettled: bool) -> bool {
        let is_news = is_unsettled || looks != self.looks || *sums != self.sums;
        self.comparison.is_due(now, is_news, QUIET_COMPARISON_REST)
    }

    /// Namespaces were looked for from then until now.
    pub fn looked(&mut self, since: Instant) {
        self.look.again(since, since.elapsed());
    }

    /// Counters were compared from then until now, by what the hooks had seen.
    pub fn compared(&mut self, since: Instant, looks: u64, sums: Sums) {
        self.looks = looks;
        self.comparison.again(since, since.elapsed());
        self.sums = sums;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_ten_ms() -> (Schedule, Instant) {
        let at = Instant::now();
        let done = || Done {
            at,
            took: [Duration::from_millis(10); 2],
        };
        let due = Schedule {
            look: done(),
            comparison: done(),
            sums: [(1, [7; counter::SLOTS])].into(),
            looks: 0,
        };
        (due, at)
    }

    #[test]
    fn what_nobody_knows_is_looked_for_once() {
        let (mut due, at) = after_ten_ms();
        let (soon, late) = (at + Duration::from_secs(1), at + Duration::from_secs(100));
        let registry = Registry::new();
        let known = due.sums.clone();
        assert!(!due.look(soon, &registry, &known));
        assert!(due.look(late, &registry, &known));
        let more: Sums = [(1, [7; counter::SLOTS]), (2, [1; counter::SLOTS])].into();
        assert!(!due.look(at + Duration::from_millis(999), &registry, &more));
        assert!(due.look(soon, &registry, &more));
        // It was looked for in vain.
        due.compared(at, registry.looks(), more.clone());
        assert!(!due.look(soon, &registry, &more));
    }

    #[test]
    fn counters_are_compared_sooner_where_something_was_seen() {
        let (due, at) = after_ten_ms();
        let soon = at + Duration::from_secs(1);
        let mut registry = Registry::new();
        let is_due = |now, registry: &Registry, sums: &Sums, is_unsettled| {
            due.comparison(now, registry.looks(), sums, is_unsettled)
        };
        assert!(!is_due(soon, &registry, &due.sums, false));
        assert!(is_due(
            at + Duration::from_secs(20),
            &registry,
            &due.sums,
            false
        ));
        assert!(is_due(
            soon,
            &registry,
            &[(1, [8; counter::SLOTS])].into(),
            false
        ));
        assert!(is_due(soon, &registry, &due.sums, true));
        registry.refresh();
        assert!(is_due(soon, &registry, &due.sums, false));
    }

    #[test]
    fn one_that_was_held_up_lengthens_no_rest() {
        let (mut due, at) = after_ten_ms();
        let registry = Registry::new();
        let late = at + Duration::from_secs(20);
        due.comparison.again(at, Duration::from_secs(1));
        assert!(due.comparison(late, registry.looks(), &due.sums, false));
        due.comparison.again(at, Duration::from_secs(1));
        assert!(!due.comparison(late, registry.looks(), &due.sums, false));
    }
}
