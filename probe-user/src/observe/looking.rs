//! Looks at listeners, and at the processes that hold them while a queue is
//! over its limit.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    host::{
        Host,
        accepted::{Came, came},
        awaits::{Awaiting, awaits},
        cgroup::stall,
        holds::holds,
        pace::Pace,
        parent::parent,
        sample::sample,
        task,
    },
    model::{
        Observed, ObservedCgroup, ObservedProcess, ObservedQueue,
        hold::{Hold, Served},
        owner::Owner,
        process::Process,
        socket::{AcceptedSnapshot, ListenerSnapshot},
    },
};

/// Processes that are looked at for one listener: of more, some, the same ones each time.
const PROCESSES_AT_MOST: usize = 16;

/// Of so many looks at a full queue one asks for the connections that came from it: once a second.
const ASK_EVERY: u32 = 20;

/// Between two times that it is asked what threads wait for.
const ASK_AWAITS_EVERY: Duration = Duration::from_millis(950);

/// Listeners of which it is remembered when they were asked.
const LISTENERS_AT_MOST: usize = 4096;

/// Looks, one after another.
pub struct Looker {
    /// What is asked of this machine.
    pub host: Host,
    mount: Option<PathBuf>,
    /// The number of the next look.
    look: u32,
    /// How many looks found a queue over its limit.
    full: HashMap<(u32, u64), u32>,
    /// When half-open requests of a listener are to be asked for next.
    half_open: HashMap<(u32, u64), Instant>,
    /// When it is to be asked what threads wait for.
    awaits: Pace,
    /// Listeners of whose owners the parents were told.
    parents: BTreeSet<(u32, u64)>,
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
            full: HashMap::new(),
            half_open: HashMap::new(),
            awaits: Pace::new(ASK_AWAITS_EVERY, Duration::from_secs(10), 0),
            parents: BTreeSet::new(),
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
            self.ask_parents(&mut queue);
            if queue.is_over_its_limit() {
                pids.extend(queue.owners.iter().map(|owner| owner.pid));
            }
            queues.push(queue);
        }
        let mut processes: Vec<ObservedProcess> = pids
            .into_iter()
            .filter_map(|pid| self.process(look, pid))
            .collect();
        self.ask_awaits(&mut processes);
        for queue in &mut queues {
            if queue.is_over_its_limit() {
                self.ask(queue, &processes);
            }
        }
        let processes = processes.into_iter().map(Box::new).map(Observed::Process);
        let queues = queues.into_iter().map(Box::new).map(Observed::Queue);
        processes.chain(queues).collect()
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
        let owners: Arc<[Owner]> = if all.len() > PROCESSES_AT_MOST {
            let mut some = all.to_vec();
            sample(&mut some, PROCESSES_AT_MOST, |owner| owner.pid);
            some.into()
        } else {
            Arc::clone(&all)
        };
        ObservedQueue {
            look,
            netns,
            snapshot,
            owners,
            owners_in_all: all.len(),
            polls: Vec::new(),
            accepted: None,
            inherited: Vec::new(),
            holds: Vec::new(),
            served: None,
            half_open: None,
            parents: Vec::new(),
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

    /// What their threads wait for, once a second at most, and the more seldom the longer that takes.
    fn ask_awaits(&mut self, processes: &mut [ObservedProcess]) {
        let began = Instant::now();
        if processes.is_empty() || !self.awaits.due(began) {
            return;
        }
        let mut tables = Awaiting::default();
        for process in processes {
            process.awaits = Some(awaits(&process.process, &mut tables));
        }
        self.awaits.ran(began, Instant::now());
    }

    /// Who started its owners, once of each listener: of one that comes back that tells who has started it again.
    fn ask_parents(&mut self, queue: &mut ObservedQueue) {
        let key = (queue.netns, queue.snapshot.cookie);
        if queue.owners.is_empty() || self.parents.contains(&key) {
            return;
        }
        if self.parents.len() >= LISTENERS_AT_MOST {
            self.parents.clear();
        }
        self.parents.insert(key);
        let owners = queue.owners.iter();
        queue.parents = owners.filter_map(|owner| parent(owner.pid)).collect();
    }

    /// How its owners hold it. The connections that came from it are not asked for in every look, since that costs the
    /// kernel a walk over all there are.
    fn ask(&mut self, queue: &mut ObservedQueue, processes: &[ObservedProcess]) {
        let inode = queue.snapshot.inode;
        let owners = queue.owners.iter();
        queue.holds = owners.filter_map(|owner| holds(owner.pid, inode)).collect();
        queue.polls = queue.holds.iter().filter_map(polls).collect();
        let key = (queue.netns, queue.snapshot.cookie);
        let full = self.full.entry(key).or_default();
        *full += 1;
        if *full % ASK_EVERY != 1 {
            return;
        }
        // Where that cannot be asked, nothing is said of who has accepted.
        let Ok(connections) = self.host.accepted(queue.netns, &queue.snapshot) else {
            return;
        };
        if is_unclear(queue) {
            let pids = queue.owners.iter().map(|owner| owner.pid);
            let asked = pids.map(|pid| Some((pid, came(pid, &connections)?)));
            // Of one that cannot be looked at it is not said that it has accepted nothing.
            if let Some(asked) = asked.collect::<Option<Vec<(u32, Came)>>>() {
                let so = |how: Came| {
                    let those = asked.iter().filter(move |(_, came)| *came == how);
                    those.map(|(pid, _)| *pid).collect()
                };
                queue.accepted = Some(so(Came::Accepted));
                queue.inherited = so(Came::Inherited);
            }
        }
        let owners = processes.iter().map(|process| &process.process);
        let owners = owners.filter(|process| queue.owners.iter().any(|own| own.pid == process.pid));
        queue.served = Some(Served {
            connections: connections.len(),
            sleepers: sleepers(owners, &connections),
        });
    }

    /// `None` when it has ended.
    fn process(&self, look: u32, pid: u32) -> Option<ObservedProcess> {
        let process = task::look(pid)?;
        let cgroup = self.mount.as_ref().zip(self.host.cgroup_of_process(pid));
        Some(ObservedProcess {
            look,
            process,
            awaits: None,
            cgroup: cgroup.map(|(mount, cgroup)| ObservedCgroup {
                path: cgroup.path.clone(),
                stall: stall(mount, &cgroup.path),
            }),
        })
    }
}

/// Whether an epoll instance of its waits for the listener; `None` where it has none.
fn polls(hold: &Hold) -> Option<(u32, bool)> {
    let has_any = hold.has_others || !hold.epolls.is_empty();
    has_any.then_some((hold.pid, !hold.epolls.is_empty()))
}

/// Whether it is to be asked who has accepted: of several owners, none of whom waits for it.
fn is_unclear(queue: &ObservedQueue) -> bool {
    queue.owners_in_all > 1 && !queue.polls.iter().any(|(_, waits)| *waits)
}

/// Threads that sleep on one of these connections, and whose it is.
fn sleepers<'a>(
    processes: impl Iterator<Item = &'a Process>,
    connections: &[AcceptedSnapshot],
) -> Vec<(u32, SocketAddr)> {
    let of_each: HashMap<u32, SocketAddr> = connections
        .iter()
        .map(|connection| (connection.inode, connection.remote))
        .collect();
    let threads = processes.flat_map(|process| &process.threads);
    threads
        .filter_map(|thread| Some((thread.tid, *of_each.get(&thread.socket?)?)))
        .collect()
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
            inherited: Vec::new(),
            holds: Vec::new(),
            served: None,
            half_open: None,
            parents: Vec::new(),
        };
        assert!(is_unclear(&queue(&[])));
        assert!(!is_unclear(&queue(&[(MASTER, false), (WORKER, true)])));
        assert!(is_unclear(&queue(&[(MASTER, false)])));
        let alone = ObservedQueue {
            owners_in_all: 1,
            ..queue(&[])
        };
        assert!(!is_unclear(&alone));
    }
}
