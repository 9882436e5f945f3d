//! One listener over all looks.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use super::holders::Holders;
use crate::model::{
    ObservedQueue,
    hold::{Hold, Served, Standing},
    incident::Place,
    owner::Owner,
    socket::{HalfOpen, ListenerSnapshot},
};

/// Between looks that are further apart nothing is known of the queue, though both found it full.
const APART_NS: u64 = 250_000_000;

/// Stretches over the limit that are remembered of a listener.
const SPANS_AT_MOST: usize = 4096;

/// What the looks at one listener found.
#[derive(Clone, Debug)]
pub struct Queue {
    /// The inode number of its network namespace.
    pub netns: u32,
    /// The newest snapshot.
    pub last: ListenerSnapshot,
    /// How often it was looked at.
    pub looks: u32,
    /// The first and the last of all looks that found it.
    pub seen: (u32, u32),
    /// When it was found first.
    pub first_ns: u64,
    /// Looks that found it over its limit.
    pub full: u32,
    /// Looks that found it at most a tenth full.
    pub drained: u32,
    /// The longest that it was.
    pub peak: u32,
    /// When it was over its limit.
    pub spans: Vec<(u64, u64)>,
    /// PIDs of those who hold it.
    pub owners: Vec<u32>,
    /// The same, with their names.
    pub holders: Arc<[Owner]>,
    /// More than are looked at, where there are many.
    pub owners_in_all: usize,
    /// Looks at which an epoll instance of an owner waited for it.
    pub polled: u32,
    /// Looks at which none did.
    pub unpolled: u32,
    /// In how many looks an epoll instance of an owner waited for it, of those that have one.
    pollers: BTreeMap<u32, u32>,
    /// Owners that hold a connection which they accepted.
    accepted: BTreeSet<u32>,
    /// Owners that hold connections which they may have been started for.
    inherited: BTreeSet<u32>,
    /// The highest limit that it had.
    pub limit_before: u32,
    /// How each owner held it at last.
    pub holds: BTreeMap<u32, Hold>,
    /// In how many looks it stood so in epoll instances of its owners.
    pub stood: BTreeMap<Standing, u32>,
    pub served: ServedLooks,
    /// The look at half-open requests that found most of them aged.
    pub half_open: Option<HalfOpen>,
    /// How many looks found any.
    pub half_open_looks: u32,
    /// Everybody who was found to hold it.
    pub holders_seen: Holders,
    is_full: bool,
}

/// Connections that came from it, over the looks that asked for them.
#[derive(Clone, Debug, Default)]
pub struct ServedLooks {
    pub asked: u32,
    /// At the last one.
    pub connections: usize,
    /// In how many a thread slept on one of them, and on whose at last.
    pub sleepers: BTreeMap<u32, (u32, SocketAddr)>,
}

impl ServedLooks {
    fn saw(&mut self, served: &Served) {
        self.asked += 1;
        self.connections = served.connections;
        for (tid, peer) in &served.sleepers {
            let (times, last) = self.sleepers.entry(*tid).or_insert((0, *peer));
            *times += 1;
            *last = *peer;
        }
    }
}

impl Queue {
    /// Of a listener that was not looked at before.
    pub fn new(netns: u32, listener: &ListenerSnapshot) -> Self {
        Self {
            netns,
            last: listener.clone(),
            looks: 0,
            seen: (u32::MAX, 0),
            first_ns: listener.taken_mono_ns,
            full: 0,
            drained: 0,
            peak: 0,
            spans: Vec::new(),
            owners: Vec::new(),
            holders: Arc::from([]),
            owners_in_all: 0,
            polled: 0,
            unpolled: 0,
            pollers: BTreeMap::new(),
            accepted: BTreeSet::new(),
            inherited: BTreeSet::new(),
            limit_before: listener.accept_queue_limit,
            holds: BTreeMap::new(),
            stood: BTreeMap::new(),
            served: ServedLooks::default(),
            half_open: None,
            half_open_looks: 0,
            holders_seen: Holders::default(),
            is_full: false,
        }
    }

    /// Where it is.
    pub const fn place(&self) -> Place {
        Place {
            netns: self.netns,
            addr: self.last.addr,
        }
    }

    /// Whose epoll instances wait for it, of the owners that have any.
    fn polls(&mut self, polls: &[(u32, bool)]) {
        match polls.iter().map(|(_, waits)| *waits).max() {
            Some(true) => self.polled += 1,
            Some(false) => self.unpolled += 1,
            None => {}
        }
        for (pid, waits) in polls {
            *self.pollers.entry(*pid).or_default() += u32::from(*waits);
        }
    }

    /// Whether an epoll instance of this process has waited for it.
    pub fn has_polled(&self, pid: u32) -> bool {
        self.pollers.get(&pid).is_some_and(|looks| *looks > 0)
    }

    /// Whether this process holds a connection that it accepted.
    pub fn has_accepted(&self, pid: u32) -> bool {
        self.accepted.contains(&pid)
    }

    /// Whether this process may have been started for the connections that it holds, as a child is that is forked for one, and
    /// has accepted none of them.
    pub fn has_inherited(&self, pid: u32) -> bool {
        self.inherited.contains(&pid) && !self.accepted.contains(&pid)
    }

    /// Whether an epoll instance of the owners waits for it, mostly; `None` where those that are to accept have none.
    pub fn is_polled(&self, acceptors: &[u32]) -> Option<bool> {
        let are_all = self.owners.iter().all(|pid| acceptors.contains(pid));
        let have_any = acceptors.iter().any(|pid| self.pollers.contains_key(pid));
        let is_known = self.polled + self.unpolled > 0 && (are_all || have_any);
        is_known.then_some(self.polled > self.unpolled)
    }

    /// Those owners that are to accept, and how many there are in all. Where epoll instances wait for it, only their
    /// processes are: others, such as the master of nginx, hold it for their children. Where one has accepted, those are
    /// not that slept until other files become ready, such as the arbiter of gunicorn: had they waited for this one, its
    /// full queue would have woken them.
    pub fn acceptors(&self, waits_for_files: impl Fn(u32) -> bool) -> (Vec<u32>, usize) {
        let is_poller = |pid: &&u32| {
            let looks = self.pollers.get(pid);
            looks.is_some_and(|looks| looks * 2 > self.polled + self.unpolled)
        };
        let pollers: Vec<u32> = self.owners.iter().filter(is_poller).copied().collect();
        // One that was not looked at may be a poller too.
        if self.owners_in_all > self.owners.len() {
            return (self.owners.clone(), self.owners_in_all);
        }
        let acceptors = if !pollers.is_empty() {
            pollers
        } else if self.owners.iter().any(|pid| self.accepted.contains(pid)) {
            let is_left_out = |pid: u32| {
                let polls = self.pollers.get(&pid).is_some_and(|looks| *looks > 0);
                !self.accepted.contains(&pid) && !polls && waits_for_files(pid)
            };
            let owners = self.owners.iter().copied();
            owners.filter(|pid| !is_left_out(*pid)).collect()
        } else {
            self.owners.clone()
        };
        let n = acceptors.len();
        (acceptors, n)
    }

    /// The longest that it was over its limit at a stretch, within these times.
    pub fn longest_full(&self, (began_ns, ended_ns): (u64, u64)) -> Duration {
        let within = |(from, to): &(u64, u64)| {
            let to = *to.min(&ended_ns);
            to.saturating_sub(*from.max(&began_ns))
        };
        Duration::from_nanos(self.spans.iter().map(within).max().unwrap_or(0))
    }

    /// Takes a look.
    pub fn saw(&mut self, seen: &ObservedQueue) {
        let listener = &seen.snapshot;
        let (len, limit) = (listener.accept_queue_len, listener.accept_queue_limit);
        let now = listener.taken_mono_ns;
        let is_full = seen.is_over_its_limit();
        self.looks += 1;
        self.seen = (self.seen.0.min(seen.look), self.seen.1.max(seen.look));
        self.peak = self.peak.max(len);
        self.full += u32::from(is_full);
        // A tenth of a short one is less than one connection.
        self.drained += u32::from(u64::from(len) * 10 <= u64::from(limit.max(10)));
        self.limit_before = self.limit_before.max(limit);
        self.owners_in_all = seen.owners_in_all;
        self.holders = Arc::clone(&seen.owners);
        self.holders_seen.saw(seen);
        self.owners = seen.owners.iter().map(|owner| owner.pid).collect();
        let more = |one: &HalfOpen| self.half_open.is_none_or(|known| known.aged <= one.aged);
        self.half_open = seen.half_open.filter(more).or(self.half_open);
        self.half_open_looks += u32::from(seen.half_open.is_some_and(|one| one.in_all > 0));
        if is_full {
            self.polls(&seen.polls);
            self.accepted.extend(seen.accepted.iter().flatten());
            self.inherited.extend(&seen.inherited);
            if let Some(standing) = Standing::of(&seen.holds) {
                *self.stood.entry(standing).or_default() += 1;
            }
            let holds = seen.holds.iter().map(|hold| (hold.pid, hold.clone()));
            self.holds.extend(holds);
            seen.served
                .iter()
                .for_each(|served| self.served.saw(served));
        }
        let goes_on = self.is_full && now.saturating_sub(self.last.taken_mono_ns) <= APART_NS;
        if is_full && goes_on {
            if let Some((_, end)) = self.spans.last_mut() {
                *end = now;
            }
        } else if is_full && self.spans.len() < SPANS_AT_MOST {
            self.spans.push((now, now));
        }
        self.is_full = is_full;
        self.last.clone_from(listener);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: u32 = 1;
    const WORKER: u32 = 2;

    fn queue(owners_in_all: usize) -> Queue {
        let listener = ListenerSnapshot::sample();
        Queue {
            owners: vec![MASTER, WORKER],
            owners_in_all,
            ..Queue::new(7, &listener)
        }
    }

    fn check(queue: &Queue, sleepers: &[u32], expect: &[u32], in_all: usize) {
        let found = queue.acceptors(|pid| sleepers.contains(&pid));
        assert_eq!(found, (expect.to_vec(), in_all));
    }

    #[test]
    fn who_waits_for_it_is_to_accept() {
        let mut queue = queue(2);
        queue.polls(&[(WORKER, true)]);
        queue.polls(&[(MASTER, false), (WORKER, true)]);
        check(&queue, &[], &[WORKER], 1);
    }

    #[test]
    fn all_owners_are_where_mostly_nobody_waits_for_it() {
        let mut queue = queue(2);
        check(&queue, &[MASTER], &[MASTER, WORKER], 2);
        queue.polls(&[(WORKER, true)]);
        queue.polls(&[(WORKER, false)]);
        check(&queue, &[MASTER], &[MASTER, WORKER], 2);
    }

    #[test]
    fn of_more_owners_than_are_looked_at_none_is_left_out() {
        let mut queue = queue(3);
        queue.polls(&[(WORKER, true)]);
        queue.accepted.insert(WORKER);
        check(&queue, &[MASTER], &[MASTER, WORKER], 3);
    }

    #[test]
    fn beside_one_that_has_accepted_who_waits_for_others_is_not() {
        let mut queue = queue(2);
        queue.polls(&[(MASTER, false)]);
        queue.accepted.insert(WORKER);
        check(&queue, &[], &[MASTER, WORKER], 2);
        check(&queue, &[MASTER, WORKER], &[WORKER], 1);
        // The epoll instance of the one that is left out is no matter.
        assert_eq!(queue.is_polled(&[MASTER, WORKER]), Some(false));
        assert_eq!(queue.is_polled(&[WORKER]), None);
    }

    #[test]
    fn what_lies_between_looks_that_are_far_apart_is_not_known() {
        let mut queue = queue(2);
        let mut seen = ObservedQueue {
            look: 0,
            netns: 7,
            snapshot: queue.last.clone(),
            owners: std::sync::Arc::from([]),
            owners_in_all: 0,
            polls: Vec::new(),
            accepted: None,
            inherited: Vec::new(),
            holds: Vec::new(),
            served: None,
            half_open: None,
            parents: Vec::new(),
        };
        for (look, at_ms) in [(1, 50), (2, 100), (3, 351), (4, 401)] {
            seen.look = look;
            seen.snapshot.taken_mono_ns = at_ms * 1_000_000;
            queue.saw(&seen);
        }
        let spans = [(50_000_000, 100_000_000), (351_000_000, 401_000_000)];
        assert_eq!((queue.spans.as_slice(), queue.full), (&spans[..], 4));
        let longest_ms = |began_ms: u64, ended_ms: u64| {
            let within = (began_ms * 1_000_000, ended_ms * 1_000_000);
            queue.longest_full(within).as_millis()
        };
        assert_eq!(longest_ms(0, 1000), 50);
        // Looks of before the watch and after it tell of no longer time than was watched.
        assert_eq!(longest_ms(80, 1000), 50);
        assert_eq!(longest_ms(80, 371), 20);
        assert_eq!(longest_ms(390, 1000), 11);
        assert_eq!(longest_ms(500, 1000), 0);
    }
}
