//! What has moved between two looks of a watch without hooks: the kernel's counters and the dumps of listeners come in,
//! what they grew by goes out. What could not be looked at before has not grown by all that it is now, and where it
//! cannot be looked at nothing is said of it: neither is taken for zero.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{reading::Reading, socket::ListenerSnapshot};

/// What was there at the last look.
#[derive(Debug)]
pub struct Growth {
    kernel: BTreeMap<u32, Reading>,
    /// Namespaces that were there at the start and could not be read.
    unread: BTreeSet<u32>,
    /// `sk_drops` of the listeners of the last look, by namespace and cookie.
    drops: HashMap<u32, HashMap<u64, u32>>,
    /// Net cookies, where the kernel has them.
    cookies: HashMap<u32, u64>,
    /// Namespaces whose listeners could not be listed at the last look.
    unlisted: BTreeSet<u32>,
}

impl Growth {
    /// Since these readings of the kernel's counters; `unread` are namespaces that could not be read.
    pub fn since(kernel: BTreeMap<u32, Reading>, unread: impl IntoIterator<Item = u32>) -> Self {
        Self {
            kernel,
            unread: unread.into_iter().collect(),
            drops: HashMap::new(),
            cookies: HashMap::new(),
            unlisted: BTreeSet::new(),
        }
    }

    /// The newest counters of every namespace that could ever be read.
    pub const fn newest(&self) -> &BTreeMap<u32, Reading> {
        &self.kernel
    }

    /// Whoever has this number has this net cookie, and whether it is another than before: what was known of the number was
    /// another's, and this one began at 0.
    pub fn is_another(&mut self, netns: u32, cookie: Option<u64>) -> bool {
        let Some(cookie) = cookie else {
            return false;
        };
        let before = self.cookies.insert(netns, cookie);
        let is_another = before.is_some_and(|before| before != cookie);
        if is_another {
            self.kernel.remove(&netns);
            self.unread.remove(&netns);
            self.drops.remove(&netns);
            self.unlisted.remove(&netns);
        }
        is_another
    }

    /// Forgets the listeners of namespaces that are not there. One that is found again later, if it is the same, may have
    /// been there all the time.
    pub fn retain(&mut self, is_there: impl Fn(u32) -> bool) {
        let unlisted = &mut self.unlisted;
        self.drops.retain(|netns, _| {
            let is_there = is_there(*netns);
            if !is_there {
                unlisted.insert(*netns);
            }
            is_there
        });
    }

    /// By how much the counters of a namespace moved; `None` where that is not known. One that was made since began at 0.
    pub fn of_counters(&mut self, netns: u32, now: Reading) -> Option<Reading> {
        let before = self.kernel.insert(netns, now);
        if self.unread.remove(&netns) {
            return None;
        }
        let before = before.unwrap_or_default();
        Some(std::array::from_fn(|slot| {
            now[slot].saturating_sub(before[slot])
        }))
    }

    /// The listeners of a namespace whose `sk_drops` grew since the last look, by how much; or why that is not known.
    pub fn of_listeners<E: ToString>(
        &mut self,
        netns: u32,
        listed: Result<Vec<ListenerSnapshot>, E>,
    ) -> Result<Vec<(ListenerSnapshot, u32)>, String> {
        let listeners = listed.map_err(|error| {
            self.unlisted.insert(netns);
            format!("the listeners could not be listed ({})", error.to_string())
        })?;
        if let Some(silent) = listeners.iter().find(|one| one.drops.is_none()) {
            self.unlisted.insert(netns);
            return Err(format!(
                "the kernel does not say what {} has dropped",
                silent.addr
            ));
        }
        let mut grown = Vec::new();
        let known = self.drops.entry(netns).or_default();
        let before = std::mem::take(known);
        for listener in listeners {
            let Some(now) = listener.drops else { continue };
            known.insert(listener.cookie, now);
            let before = before.get(&listener.cookie).copied();
            // `sk_drops` wraps at 32 bits; a listener that is new began at 0.
            let delta = now.wrapping_sub(before.unwrap_or(0));
            if delta > 0 {
                grown.push((listener, delta));
            }
        }
        if self.unlisted.remove(&netns) {
            Err("the listeners could not be listed a moment ago".into())
        } else {
            Ok(grown)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETNS: u32 = 7;

    fn listener(drops: u32) -> Vec<ListenerSnapshot> {
        vec![ListenerSnapshot {
            drops: Some(drops),
            ..ListenerSnapshot::sample()
        }]
    }

    fn since_nothing() -> Growth {
        Growth::since(BTreeMap::new(), [])
    }

    fn grown(growth: &mut Growth, listed: Result<Vec<ListenerSnapshot>, &str>) -> Option<Vec<u32>> {
        let grown = growth.of_listeners(NETNS, listed).ok()?;
        Some(grown.into_iter().map(|(_, delta)| delta).collect())
    }

    #[test]
    fn a_listener_that_is_new_began_at_zero() {
        let mut growth = since_nothing();
        assert_eq!(
            grown(&mut growth, Ok(listener(u32::MAX))),
            Some(vec![u32::MAX])
        );
        assert_eq!(grown(&mut growth, Ok(listener(2))), Some(vec![3]));
        assert_eq!(grown(&mut growth, Ok(listener(2))), Some(vec![]));
    }

    #[test]
    fn a_listing_that_failed_is_not_one_without_candidates() {
        let mut growth = since_nothing();
        grown(&mut growth, Ok(listener(5)));
        let failed = growth.of_listeners(NETNS, Err("EPERM"));
        assert_eq!(
            failed,
            Err("the listeners could not be listed (EPERM)".to_owned())
        );
        // What grew meanwhile may belong to either look.
        assert_eq!(grown(&mut growth, Ok(listener(9))), None);
        assert_eq!(grown(&mut growth, Ok(listener(10))), Some(vec![1]));
    }

    #[test]
    fn what_could_not_be_listed_at_the_start_is_not_new() {
        let mut growth = since_nothing();
        assert_eq!(grown(&mut growth, Err("EPERM")), None);
        assert_eq!(grown(&mut growth, Ok(listener(41_233))), None);
        assert_eq!(grown(&mut growth, Ok(listener(41_234))), Some(vec![1]));
    }

    #[test]
    fn where_the_kernel_does_not_say_what_was_dropped_nobody_is_the_only_one() {
        let mut growth = since_nothing();
        let mut both = listener(3);
        both.push(ListenerSnapshot {
            drops: None,
            ..ListenerSnapshot::sample()
        });
        assert_eq!(grown(&mut growth, Ok(both)), None);
    }

    #[test]
    fn a_listener_that_was_closed_is_forgotten() {
        let mut growth = since_nothing();
        for cookie in 0..1000 {
            let mut one = listener(0);
            one[0].cookie = cookie;
            assert_eq!(grown(&mut growth, Ok(one)), Some(vec![]));
        }
        assert_eq!(growth.drops[&NETNS].len(), 1);
        growth.retain(|_| true);
        assert_eq!(growth.drops.len(), 1);
        growth.retain(|netns| netns != NETNS);
        assert!(growth.drops.is_empty());
        // What it had dropped when it was not found is no growth.
        assert_eq!(grown(&mut growth, Ok(listener(7))), None);
        assert_eq!(grown(&mut growth, Ok(listener(8))), Some(vec![1]));
    }

    #[test]
    fn a_number_that_another_namespace_has_begins_at_zero() {
        let mut growth = Growth::since([(NETNS, Reading::default())].into(), [NETNS]);
        assert!(!growth.is_another(NETNS, Some(1)));
        let reading = |n| {
            let mut reading = Reading::default();
            reading[0] = n;
            reading
        };
        growth.of_counters(NETNS, reading(500));
        assert_eq!(grown(&mut growth, Err("EPERM")), None);
        assert!(!growth.is_another(NETNS, Some(1)));
        assert!(!growth.is_another(NETNS, None));
        assert!(growth.is_another(NETNS, Some(2)));
        let moved = growth.of_counters(NETNS, reading(3));
        assert_eq!(moved.map(|moved| moved[0]), Some(3));
        assert_eq!(grown(&mut growth, Ok(listener(3))), Some(vec![3]));
    }

    #[test]
    fn counters_that_could_not_be_read_at_the_start_have_not_moved_by_all_that_they_are() {
        let mut growth = Growth::since([(1, Reading::default())].into(), [NETNS]);
        let mut now = Reading::default();
        now[0] = 500;
        assert_eq!(growth.of_counters(NETNS, now), None);
        now[0] = 503;
        let moved = growth.of_counters(NETNS, now).map(|moved| moved[0]);
        assert_eq!(moved, Some(3));
        // One that was made since began at 0.
        let moved = growth.of_counters(NETNS + 1, now).map(|moved| moved[0]);
        assert_eq!(moved, Some(503));
    }
}
