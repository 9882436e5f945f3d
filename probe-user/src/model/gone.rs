//! Listeners and namespaces that ended long ago: what was counted of each goes into one number for all of them, so that a
//! watch of weeks knows as much as one of a day.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, Hash},
};

use probe_common::{CountKey, StatKey};
use serde::{Deserialize, Serialize};

use super::tally::{Causes, Counts};

/// The name under which the counts have all listeners that are told of together. No kernel address and no cookie.
pub const TOGETHER: u64 = u64::MAX;

/// The number under which the counts have all namespaces that are told of together. No namespace has it.
pub const NAMESPACES: u32 = 0;

/// Listeners, by namespace and name (cookie or kernel address).
pub type Names = HashSet<(u32, u64)>;

/// Who is told of no more one by one.
#[derive(Debug, Default)]
pub struct Gone {
    /// By namespace and name (cookie or kernel address), and whether it is among those that were asked for.
    pub listeners: HashMap<(u32, u64), bool>,
    /// By number. Their listeners are gone with them.
    pub namespaces: HashSet<u32>,
    /// Whether those listeners were asked for.
    pub takes_all: bool,
}

impl Gone {
    /// Whether there is nothing to forget.
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty() && self.namespaces.is_empty()
    }

    /// Where a count goes; `None` where it stays.
    pub fn count(&self, key: &CountKey) -> Option<CountKey> {
        let (netns, listener) = self.name(key.netns, key.listener)?;
        Some(CountKey {
            listener,
            netns,
            ..*key
        })
    }

    /// Where the figures of a listener go; `None` where they stay. Under 0 they are nobody's who was asked for.
    pub fn figures(&self, key: &StatKey) -> Option<StatKey> {
        let (netns, listener) = self.name(key.netns, key.listener)?;
        Some(StatKey {
            listener,
            netns,
            ..*key
        })
    }

    fn name(&self, netns: u32, listener: u64) -> Option<(u32, u64)> {
        let is_gone = self.namespaces.contains(&netns);
        let known = self.listeners.get(&(netns, listener)).copied();
        let is_wanted = match (known, listener) {
            (None, _) if !is_gone => return None,
            // These are no listener's.
            (None, 0 | TOGETHER) => return Some((NAMESPACES, listener)),
            (known, _) => known.unwrap_or(self.takes_all),
        };
        let netns = if is_gone { NAMESPACES } else { netns };
        Some((netns, if is_wanted { TOGETHER } else { 0 }))
    }
}

/// Moves what has another name by now, and adds it to what is there.
pub fn fold<K: Copy + Eq + Hash, V: Default, S: BuildHasher>(
    of: &mut HashMap<K, V, S>,
    becomes: impl Fn(&K) -> Option<K>,
    add: impl Fn(&mut V, V),
) {
    let moved: Vec<(K, K)> = of
        .keys()
        .filter_map(|key| Some((*key, becomes(key)?)))
        .collect();
    for (from, to) in moved {
        if let Some(value) = of.remove(&from) {
            add(of.entry(to).or_default(), value);
        }
    }
    of.shrink_to(of.len() * 2);
}

/// Listeners that have no row of their own, all together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Others {
    /// How many closed and were put together; of those that found no room for counts of their own it is not known.
    pub listeners: u64,
    /// How many were put together although it is not known that they closed: there were too many, and nothing came to these
    /// any more.
    #[serde(default)]
    pub quiet: u64,
    /// How often what happened, and at which stage.
    #[serde(with = "super::pairs")]
    pub counts: Counts,
    /// How often for which cause.
    #[serde(with = "super::pairs")]
    pub causes: Causes,
    /// Connections that entered their accept queues.
    pub established: u64,
    /// Of these, connections that were in a queue when its listener was closed.
    pub reset: u64,
}

impl Others {
    /// Whether there is anything to tell.
    pub fn is_empty(&self) -> bool {
        self.listeners + self.quiet == 0 && self.counts.is_empty() && self.established == 0
    }
}

#[cfg(test)]
mod tests {
    use probe_common::{CountValue, state};

    use super::*;

    fn key(netns: u32, listener: u64) -> CountKey {
        CountKey {
            listener,
            netns,
            moved: 3,
            flags: 0,
            reason: 0,
            hook: 1,
            sock_state: state::LISTEN,
            generation: 0,
        }
    }

    #[test]
    fn what_is_gone_is_counted_together_and_nothing_is_lost() {
        let gone = Gone {
            listeners: HashMap::from([((1, 5), true), ((1, 6), false)]),
            namespaces: HashSet::from([2]),
            takes_all: true,
        };
        let names = [
            ((1, 5), (1, TOGETHER)),
            ((1, 6), (1, 0)),
            ((1, 7), (1, 7)),
            ((2, 5), (NAMESPACES, TOGETHER)),
            ((2, 0), (NAMESPACES, 0)),
            ((2, TOGETHER), (NAMESPACES, TOGETHER)),
            ((3, 5), (3, 5)),
        ];
        let mut counts = HashMap::new();
        for ((netns, listener), becomes) in names {
            let key = key(netns, listener);
            let to = gone.count(&key).unwrap_or(key);
            assert_eq!((to.netns, to.listener), becomes);
            counts.insert(
                key,
                CountValue {
                    events: 1,
                    ..CountValue::default()
                },
            );
        }
        fold(
            &mut counts,
            |key| gone.count(key),
            |sum, one| sum.events += one.events,
        );
        assert_eq!(counts.values().map(|value| value.events).sum::<u64>(), 7);
        assert_eq!(counts[&key(NAMESPACES, TOGETHER)].events, 2);
        assert_eq!(counts.len(), 6);
    }
}
