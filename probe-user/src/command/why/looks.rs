//! Looks at the listeners of a port, and at the processes that hold them while a
//! queue is over its limit: a thread of its own, twenty times a second.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use super::Target;
use crate::{
    enrich::Enricher,
    inspect::{
        cgroup::{Cgroups, Stall, stall},
        diag::ListenerSnapshot,
        task,
    },
};

const PERIOD: Duration = Duration::from_millis(50);

/// Of so many looks one is at every namespace.
const WIDE_EVERY: u32 = 20;

/// Processes that are looked at for one listener.
const PROCESSES_AT_MOST: usize = 16;

/// Stretches over the limit that are remembered of a listener.
const SPANS_AT_MOST: usize = 4096;

/// What the looks at one listener found.
#[derive(Clone, Debug)]
pub struct Queue {
    pub netns: u32,
    pub last: ListenerSnapshot,
    pub looks: u32,
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

/// A thread over the looks at its process.
#[derive(Clone, Debug, Default)]
pub struct ThreadLooks {
    pub comm: String,
    pub looks: u32,
    pub stopped: u32,
    pub waiting: u32,
    /// By the system call and function that it slept in.
    pub blocked: BTreeMap<String, u32>,
    pub ran_ns: u64,
    pub waited_ns: u64,
    /// Between looks of which times are known.
    pub known_ns: u64,
}

#[derive(Clone, Debug, Default)]
pub struct ProcessLooks {
    pub comm: String,
    pub threads: BTreeMap<u32, ThreadLooks>,
    pub fds: Option<(u64, u64)>,
    pub cgroup: Option<CgroupLooks>,
    /// It had more threads than are looked at.
    pub has_more: bool,
    last: Option<task::Process>,
}

#[derive(Clone, Debug)]
pub struct CgroupLooks {
    pub path: String,
    pub looks: u32,
    pub frozen: u32,
    first: (Instant, Stall),
    last: (Instant, Stall),
}

impl CgroupLooks {
    pub fn time(&self) -> Duration {
        self.last.0 - self.first.0
    }

    /// How far a counter grew between the first look and the last.
    pub fn grown(&self, counter: impl Fn(&Stall) -> Option<u64>) -> Option<u64> {
        Some(counter(&self.last.1)?.saturating_sub(counter(&self.first.1)?))
    }
}

/// Everything that was found.
#[derive(Default)]
pub struct Looks {
    /// By namespace and cookie.
    pub queues: BTreeMap<(u32, u64), Queue>,
    pub processes: HashMap<u32, ProcessLooks>,
}

/// Looks until the other end of `stop` is gone.
pub fn look_on(target: &Target, netns: Option<u32>, stop: &Receiver<()>) -> Looks {
    let mut enricher = Enricher::new();
    let cgroups = Cgroups::new();
    let mount = cgroups.mount_point();
    let mut looks = Looks::default();
    for look in 0_u32.. {
        let places = match netns {
            Some(netns) => vec![netns],
            // A host may have a thousand namespaces: most looks are at those where somebody listens.
            None if look % WIDE_EVERY == 0 => {
                enricher.registry.refresh();
                enricher.registry.iter().collect()
            }
            None => looks.places(),
        };
        enricher.tick(Instant::now());
        let listeners = target.listeners(&places, &mut enricher);
        looks.look(listeners, &mut enricher, &cgroups, mount.as_ref());
        match stop.recv_timeout(PERIOD) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    looks
}

impl Looks {
    /// Namespaces where somebody listens.
    fn places(&self) -> Vec<u32> {
        let mut places: Vec<u32> = self.queues.keys().map(|(netns, _)| *netns).collect();
        places.dedup();
        places
    }

    fn look(
        &mut self,
        listeners: Vec<(u32, ListenerSnapshot)>,
        enricher: &mut Enricher,
        cgroups: &Cgroups,
        mount: Option<&PathBuf>,
    ) {
        let mut pressed = Vec::new();
        for (netns, listener) in listeners {
            let now = Instant::now();
            let (owner, _) = enricher.identity(&listener);
            let key = (netns, listener.cookie);
            let queue = self
                .queues
                .entry(key)
                .or_insert_with(|| Queue::new(netns, &listener));
            queue.owners_in_all = owner.len();
            queue.owners = owner.iter().map(|owner| owner.pid).collect();
            queue.owners.truncate(PROCESSES_AT_MOST);
            if queue.saw(listener, now) {
                pressed.push(key);
            }
        }
        let mut pids = Vec::new();
        for key in &pressed {
            let Some(queue) = self.queues.get_mut(key) else {
                continue;
            };
            let inode = queue.last.inode;
            let polls: Vec<(u32, bool)> = queue
                .owners
                .iter()
                .filter_map(|pid| Some((*pid, task::is_polled(*pid, inode)?)))
                .collect();
            queue.polls(&polls);
            pids.extend(queue.owners.iter().copied());
        }
        pids.sort_unstable();
        pids.dedup();
        for pid in pids {
            let Some(process) = task::look(pid) else {
                continue;
            };
            let of_process = self.processes.entry(pid).or_default();
            of_process.saw(process);
            if let (Some(mount), Some(cgroup)) = (mount, cgroups.of_process(pid)) {
                of_process.is_in(&cgroup.path, stall(mount, &cgroup.path));
            }
        }
        // A process that is not looked at any more begins anew when its queue is full again.
        for process in self.processes.values_mut() {
            let is_old = |last: &task::Process| last.taken.elapsed() > PERIOD * 3;
            if process.last.as_ref().is_some_and(is_old) {
                process.last = None;
            }
        }
    }
}

impl Queue {
    fn new(netns: u32, listener: &ListenerSnapshot) -> Self {
        Self {
            netns,
            last: listener.clone(),
            looks: 0,
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

    /// Whose epoll instances wait for it, of the owners that have any.
    fn polls(&mut self, polls: &[(u32, bool)]) {
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
    fn saw(&mut self, listener: ListenerSnapshot, now: Instant) -> bool {
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

impl ProcessLooks {
    fn saw(&mut self, now: task::Process) {
        let before = self.last.as_ref().map(task::by_tid);
        for thread in &now.threads {
            let looks = self.threads.entry(thread.tid).or_default();
            looks.comm.clone_from(&thread.comm);
            looks.looks += 1;
            let before = before.as_ref().and_then(|before| before.get(&thread.tid));
            looks.saw(thread, before.copied());
            if let (Some(last), Some(_)) = (&self.last, before) {
                looks.known_ns += (now.taken - last.taken).as_nanos() as u64;
            }
        }
        if let Some((open, limit)) = now.fds {
            let most = self.fds.map_or(open, |(most, _)| most.max(open));
            self.fds = Some((most, limit));
        }
        self.comm.clone_from(&now.comm);
        self.has_more |= now.has_more;
        self.last = Some(now);
    }

    fn is_in(&mut self, path: &str, stall: Stall) {
        let now = (Instant::now(), stall);
        let looks = self.cgroup.get_or_insert_with(|| CgroupLooks {
            path: path.to_owned(),
            looks: 0,
            frozen: 0,
            first: now,
            last: now,
        });
        looks.looks += 1;
        looks.frozen += u32::from(stall.is_frozen == Some(true));
        looks.last = now;
    }
}

impl ThreadLooks {
    fn saw(&mut self, now: &task::Thread, before: Option<&task::Thread>) {
        match (now.state, now.syscall) {
            ('T' | 't', _) => self.stopped += 1,
            ('S', Some(number)) if task::waits_for_connections(number) => self.waiting += 1,
            ('S' | 'D', Some(number)) => {
                let syscall = task::syscall_name(number);
                let place = match &now.wchan {
                    Some(wchan) => format!("{syscall} ({wchan})"),
                    None => syscall,
                };
                *self.blocked.entry(place).or_default() += 1;
            }
            _ => {}
        }
        let grown = |counter: fn(&task::Thread) -> Option<u64>| {
            Some(counter(now)?.saturating_sub(counter(before?)?))
        };
        self.ran_ns += grown(|thread| thread.ran_ns).unwrap_or(0);
        self.waited_ns += grown(|thread| thread.waited_ns).unwrap_or(0);
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
