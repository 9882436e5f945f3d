//! Who listens in the other namespaces, as `sock_diag` dumps have it: a
//! namespace and the time of an event come in, the listeners of all others go
//! out. Dumps are made when they are asked for, serve all events before them,
//! and are paced, whatever comes in: what is older than the event says so.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{
    host::{Host, clock::mono_ns, pace::Pace},
    model::socket::ListenerSnapshot,
};

/// The dumps.
pub(crate) struct Listening {
    dumps: HashMap<u32, Vec<ListenerSnapshot>>,
    /// Of looking through every namespace.
    everywhere: Pace,
    /// When every namespace was last looked through.
    looked_ns: u64,
}

impl Listening {
    pub(crate) fn new() -> Self {
        Self {
            dumps: HashMap::new(),
            everywhere: Pace::new(Duration::from_millis(20), Duration::from_mins(1), 4),
            looked_ns: 0,
        }
    }

    /// The listeners of all other namespaces, and whether all were looked through after the event.
    pub(crate) fn elsewhere(
        &mut self,
        host: &mut Host,
        netns: u32,
        event_ns: u64,
    ) -> (impl Iterator<Item = (u32, &[ListenerSnapshot])>, bool) {
        let began = Instant::now();
        if self.looked_ns < event_ns && self.everywhere.due(began) {
            self.looked_ns = mono_ns();
            host.namespaces().refresh();
            let all: Vec<u32> = host.namespaces().iter().collect();
            self.dumps.retain(|known, _| all.contains(known));
            // Where /proc cannot be walked, there may be namespaces that nobody knows of.
            let mut answered = host.namespaces().blind().is_none();
            for one in all {
                answered &= self.dump(host, one);
            }
            if !answered {
                self.looked_ns = 0;
            }
            self.everywhere.ran(began, Instant::now());
        }
        let is_fresh = self.looked_ns >= event_ns;
        let others = self
            .dumps
            .iter()
            .filter(move |(other, _)| **other != netns)
            .map(|(other, dump)| (*other, dump.as_slice()));
        (others, is_fresh)
    }

    /// Whether it could be had: of a namespace that cannot be asked nothing is known.
    fn dump(&mut self, host: &mut Host, netns: u32) -> bool {
        if let Ok(found) = host.all_listeners(netns) {
            self.dumps.insert(netns, found);
            true
        } else {
            self.dumps.remove(&netns);
            false
        }
    }
}
