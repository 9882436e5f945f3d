//! Looks at listeners, and at the processes that hold them while a queue is
//! over its limit.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    host::{Host, cgroup::stall, task},
    model::{
        Observed, ObservedCgroup, ObservedProcess, ObservedQueue, owner::Owner,
        socket::ListenerSnapshot,
    },
};

/// Processes that are looked at for one listener.
const PROCESSES_AT_MOST: usize = 16;

/// Of so many looks at a full queue one asks who has accepted from it: once a second.
const ASK_EVERY: u32 = 20;

/// Listeners of which it is remembered when they were asked.
const LISTENERS_AT_MOST: usize = 4096;

/// Looks, one after another.
pub struct Looker {
    /// What is asked of this machine.
    pub host: Host,
    mount: Option<PathBuf>,
    /// The number of the next look.
    look: u32,
    /// In how many looks at a full queue of several owners nobody's epoll instance waited for it.
    unclear: HashMap<(u32, u64), u32>,
    /// When half-open requests of a listener are to be asked for next.
    half_open: HashMap<(u32, u64), Instant>,
    /// Namespaces where somebody was found.
    places: BTreeSet<u32>,
}

impl Looker {
    /// Of this machine.
    pub fn new(host: Host) -> Self {
        Self {
            mount: host.cgroup_mount(),
            host,
            look: 0,
            unclear: HashMap::new(),
            half_open: HashMap::new(),
            places: BTreeSet::new(),
        }
    }

    /// The number of the next look.
    pub const fn number(&self) -> u32 {
        self.look
    }

    /// Namespaces where somebody was found.
    pub fn places(&self) -> Vec<u32> {
        self.places.iter().copied().collect()
    }

    /// One look at these: processes first, then the queues that they hold.
    pub fn look(&mut self, listeners: Vec<(u32, ListenerSnapshot)>) -> Vec<Observed> {
        let look = self.look;
        self.look = look.saturating_add(1);
        let mut queues = Vec::new();
        let mut pids = BTreeSet::new();
        for (netns, listener) in listeners {
            self.places.insert(netns);
            let mut queue = self.queue(look, netns, listener);
            self.ask_half_open(&mut queue);
            if queue.is_over_its_limit() {
                self.ask(&mut queue);
                pids.extend(queue.owners.iter().map(|owner| owner.pid));
            }
            queues.push(Observed::Queue(Box::new(queue)));
        }
        let mut seen: Vec<Observed> = pids
            .into_iter()
            .filter_map(|pid| self.process(look, pid))
            .map(|process| Observed::Process(Box::new(process)))
            .collect();
        seen.extend(queues);
        seen
    }

    /// The queues alone.
    pub fn queues(&mut self, listeners: Vec<(u32, ListenerSnapshot)>) -> Vec<Observed> {
        let look = self.look;
        self.look = look.saturating_add(1);
        let queues = listeners
            .into_iter()
            .map(|(netns, listener)| self.queue(look, netns, listener));
        queues
            .map(|queue| Observed::Queue(Box::new(queue)))
            .collect()
    }

    fn queue(&mut self, look: u32, netns: u32, snapshot: ListenerSnapshot) -> ObservedQueue {
        let (all, _) = self.host.identity(&snapshot);
        let owners: Arc<[Owner]> = match all.len() {
            0..=PROCESSES_AT_MOST => Arc::clone(&all),
            _ => all.iter().take(PROCESSES_AT_MOST).cloned().collect(),
        };
        ObservedQueue {
            look,
            netns,
            snapshot,
            owners,
            owners_in_all: all.len(),
            polls: Vec::new(),
            accepted: None,
            half_open: None,
        }
    }

    /// Its half-open requests, twice a second at most, and the more seldom the longer the kernel takes: it walks all
    /// connections of the host.
    fn ask_half_open(&mut self, queue: &mut ObservedQueue) {
        const EVERY: Duration = Duration::from_millis(500);
        /// A twentieth of the time at most.
        const SHARE: u32 = 20;
        let key = (queue.netns, queue.snapshot.cookie);
        let began = Instant::now();
        if self.half_open.get(&key).is_some_and(|due| began < *due) {
            return;
        }
        // A look that fails is one less.
        queue.half_open = self.host.half_open(queue.netns, &queue.snapshot).ok();
        let ended = Instant::now();
        if self.half_open.len() >= LISTENERS_AT_MOST {
            self.half_open.clear();
        }
        let pause = EVERY.max((ended - began) * SHARE);
        self.half_open.insert(key, ended + pause);
    }

    /// Who of its owners waits for it. Who has accepted from it is not asked in every look, since that costs the kernel a
    /// walk over all connections.
    fn ask(&mut self, queue: &mut ObservedQueue) {
        let inode = queue.snapshot.inode;
        let polls = queue
            .owners
            .iter()
            .filter_map(|owner| Some((owner.pid, task::is_polled(owner.pid, inode)?)));
        queue.polls = polls.collect();
        let key = (queue.netns, queue.snapshot.cookie);
        if is_due(self.unclear.entry(key).or_default(), queue) {
            // Where that cannot be asked, nothing is said of who has accepted.
            let asked = self.host.unanswered(queue.netns, &queue.snapshot);
            queue.accepted = asked.ok().map(|unanswered| {
                let pids = queue.owners.iter().map(|owner| owner.pid);
                pids.filter(|pid| task::has_accepted(*pid, &unanswered))
                    .collect()
            });
        }
    }

    /// `None` when it has ended.
    fn process(&self, look: u32, pid: u32) -> Option<ObservedProcess> {
        let process = task::look(pid)?;
        let cgroup = self.mount.as_ref().zip(self.host.cgroup_of_process(pid));
        Some(ObservedProcess {
            look,
            process,
            cgroup: cgroup.map(|(mount, cgroup)| ObservedCgroup {
                path: cgroup.path.clone(),
                stall: stall(mount, &cgroup.path),
            }),
        })
    }
}

/// Whether it is to be asked who has accepted: of several owners, none of whom waits for it.
fn is_due(unclear: &mut u32, queue: &ObservedQueue) -> bool {
    let is_clear = queue.owners_in_all < 2 || queue.polls.iter().any(|(_, waits)| *waits);
    *unclear += u32::from(!is_clear);
    !is_clear && *unclear % ASK_EVERY == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_to_ask_for_is_not_clear_of_several_that_do_not_wait_for_it() {
        const MASTER: u32 = 1;
        const WORKER: u32 = 2;
        let snapshot = ListenerSnapshot::sample();
        let queue = |polls: &[(u32, bool)]| ObservedQueue {
            look: 0,
            netns: 7,
            snapshot: snapshot.clone(),
            owners: Arc::from([]),
            owners_in_all: 2,
            polls: polls.to_vec(),
            accepted: None,
            half_open: None,
        };
        let mut unclear = 0;
        assert!(is_due(&mut unclear, &queue(&[])));
        assert!(!is_due(&mut unclear, &queue(&[(WORKER, true)])));
        let later = queue(&[(MASTER, false)]);
        let more = (0..ASK_EVERY).filter(|_| is_due(&mut unclear, &later));
        assert_eq!(more.count(), 1);
    }
}
