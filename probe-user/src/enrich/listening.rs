//! Who listens where, namespace by namespace, as `sock_diag` dumps have it:
//! a namespace and the time come in, its listeners go out. Dumps are made when
//! they are asked for, kept for a moment, and paced, whatever comes in.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::inspect::{
    diag::{DiagPool, ListenerSnapshot},
    netns::Registry,
    pace::Pace,
};

/// How old the listeners of the packet's own namespace may be.
const HERE_FOR: Duration = Duration::from_millis(50);
/// How old those of other namespaces may be.
const ELSEWHERE_FOR: Duration = Duration::from_secs(1);

struct Dump {
    taken: Instant,
    found: Vec<ListenerSnapshot>,
}

/// The dumps.
pub struct Listening {
    dumps: HashMap<u32, Dump>,
    /// Of looking through every namespace.
    everywhere: Pace,
    /// When every namespace was last looked through.
    looked: Option<Instant>,
}

impl Listening {
    pub fn new() -> Self {
        Self {
            dumps: HashMap::new(),
            everywhere: Pace::new(Duration::from_millis(20), Duration::from_secs(60), 2),
            looked: None,
        }
    }

    /// The listeners of one namespace.
    pub fn here(
        &mut self,
        registry: &mut Registry,
        pool: &mut DiagPool,
        netns: u32,
        now: Instant,
    ) -> &[ListenerSnapshot] {
        let is_fresh = self
            .dumps
            .get(&netns)
            .is_some_and(|dump| now.saturating_duration_since(dump.taken) < HERE_FOR);
        if !is_fresh {
            self.dump(registry, pool, netns, now);
        }
        self.dumps
            .get(&netns)
            .map_or(&[], |dump| dump.found.as_slice())
    }

    /// The listeners of all other namespaces, and whether all have been looked through lately.
    pub fn elsewhere(
        &mut self,
        registry: &mut Registry,
        pool: &mut DiagPool,
        netns: u32,
        now: Instant,
    ) -> (impl Iterator<Item = (u32, &[ListenerSnapshot])>, bool) {
        let is_fresh = |looked: Option<Instant>| {
            looked.is_some_and(|at| now.saturating_duration_since(at) < ELSEWHERE_FOR)
        };
        if !is_fresh(self.looked) && self.everywhere.due(now) {
            let others: Vec<u32> = registry.iter().filter(|other| *other != netns).collect();
            self.dumps
                .retain(|known, _| registry.iter().any(|n| n == *known));
            for other in others {
                self.dump(registry, pool, other, now);
            }
            self.everywhere.ran(now, Instant::now());
            self.looked = Some(now);
        }
        let is_complete = is_fresh(self.looked);
        let others = self
            .dumps
            .iter()
            .filter(move |(other, _)| **other != netns)
            .map(|(other, dump)| (*other, dump.found.as_slice()));
        (others, is_complete)
    }

    /// A namespace that cannot be asked has no listeners to tell of.
    fn dump(&mut self, registry: &mut Registry, pool: &mut DiagPool, netns: u32, taken: Instant) {
        let found = pool
            .get(registry, netns, taken)
            .and_then(|diag| diag.listeners(None))
            .unwrap_or_default();
        self.dumps.insert(netns, Dump { taken, found });
    }
}
