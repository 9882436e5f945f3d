//! One listener over all looks.

use std::{collections::BTreeMap, time::Instant};

use crate::{incident::Place, inspect::diag::ListenerSnapshot};

/// Stretches over the limit that are remembered of a listener.
const SPANS_AT_MOST: usize = 4096;

/// What the looks at one listener found.
#[derive(Clone, Debug)]
pub struct Queue {
    pub netns: u32,
    pub last: ListenerSnapshot,
    pub looks: u32,
    /// The first and the last of all looks that found it.
    pub seen: (u32, u32),
    pub full: u32,
    pub drained: u32,
    pub peak: u32,
    /// When it was over its limit.
    pub spans: Vec<(Instant, Instant)>,
    pub owners: Vec<u32>,
    /// More than are looked at, where there are many.
    pub owners_in_all: usize,
    pub polled: u32,
    pub unpolled: u32,
    /// In how many looks an epoll instance of an owner waited for it.
    pollers: BTreeMap<u32, u32>,
    is_full: bool,
}

impl Queue {
    pub fn new(netns: u32, listener: &ListenerSnapshot) -> Self {
        Self {
            netns,
            last: listener.clone(),
            looks: 0,
            seen: (u32::MAX, 0),
            full: 0,
            drained: 0,
            peak: 0,
            spans: Vec::new(),
            owners: Vec::new(),
            owners_in_all: 0,
            polled: 0,
            unpolled: 0,
            pollers: BTreeMap::new(),
            is_full: false,
        }
    }

    pub const fn place(&self) -> Place {
        Place {
            netns: self.netns,
            addr: self.last.addr,
        }
    }

    /// Whose epoll instances wait for it, of the owners that have any.
    pub fn polls(&mut self, polls: &[(u32, bool)]) {
        match polls.iter().map(|(_, waits)| *waits).max() {
            Some(true) => self.polled += 1,
            Some(false) => self.unpolled += 1,
            None => {}
        }
        for (pid, _) in polls.iter().filter(|(_, waits)| *waits) {
            *self.pollers.entry(*pid).or_default() += 1;
        }
    }

    /// Those owners that are to accept, and how many there are in all. Where epoll instances wait for it, only their
    /// processes are: others, such as the master of nginx, hold it for their children.
    pub fn acceptors(&self) -> (Vec<u32>, usize) {
        let is_poller = |pid: &&u32| {
            let looks = self.pollers.get(pid);
            looks.is_some_and(|looks| looks * 2 > self.polled + self.unpolled)
        };
        let pollers: Vec<u32> = self.owners.iter().filter(is_poller).copied().collect();
        // One that was not looked at may be a poller too.
        if pollers.is_empty() || self.owners_in_all > self.owners.len() {
            return (self.owners.clone(), self.owners_in_all);
        }
        let n = pollers.len();
        (pollers, n)
    }

    /// Whether it is over its limit now.
    pub fn saw(&mut self, listener: ListenerSnapshot, now: Instant) -> bool {
        let (len, limit) = (listener.accept_queue_len, listener.accept_queue_limit);
        let is_full = len > limit;
        self.looks += 1;
        self.peak = self.peak.max(len);
        self.full += u32::from(is_full);
        self.drained += u32::from(u64::from(len) * 10 <= u64::from(limit));
        if is_full && self.is_full {
            if let Some((_, end)) = self.spans.last_mut() {
                *end = now;
            }
        } else if is_full && self.spans.len() < SPANS_AT_MOST {
            self.spans.push((now, now));
        }
        self.is_full = is_full;
        self.last = listener;
        is_full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: u32 = 1;
    const WORKER: u32 = 2;

    fn queue(owners_in_all: usize) -> Queue {
        let listener = ListenerSnapshot {
            cookie: 1,
            addr: "127.0.0.1:80".parse().unwrap(),
            v6only: None,
            ifindex: 0,
            inode: 1,
            uid: 0,
            accept_queue_len: 9,
            accept_queue_limit: 8,
            drops: None,
            cgroup_id: None,
            taken_mono_ns: 1,
        };
        Queue {
            owners: vec![MASTER, WORKER],
            owners_in_all,
            ..Queue::new(7, &listener)
        }
    }

    #[test]
    fn who_waits_for_it_is_to_accept() {
        let mut queue = queue(2);
        queue.polls(&[(WORKER, true)]);
        queue.polls(&[(MASTER, false), (WORKER, true)]);
        assert_eq!(queue.acceptors(), (vec![WORKER], 1));
    }

    #[test]
    fn all_owners_are_where_mostly_nobody_waits_for_it() {
        let mut queue = queue(2);
        assert_eq!(queue.acceptors(), (vec![MASTER, WORKER], 2));
        queue.polls(&[(WORKER, true)]);
        queue.polls(&[(WORKER, false)]);
        assert_eq!(queue.acceptors(), (vec![MASTER, WORKER], 2));
    }

    #[test]
    fn of_more_owners_than_are_looked_at_none_is_left_out() {
        let mut queue = queue(3);
        queue.polls(&[(WORKER, true)]);
        assert_eq!(queue.acceptors(), (vec![MASTER, WORKER], 3));
    }
}
