//! Looks at listeners, and at the processes that hold them while a queue is
//! over its limit: a thread of its own, twenty times a second.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use super::{
    Shared,
    doing::{self, Doing},
    queue::Queue,
    take,
};
use crate::{
    analyse::incident::{Fact, Place, What},
    enrich::Enricher,
    host::{
        cgroup::{Cgroups, Stall, stall},
        clock::mono_ns,
        diag::ListenerSnapshot,
        task,
    },
    model::ThreadState,
};

const PERIOD: Duration = Duration::from_millis(50);

/// Processes that are looked at for one listener.
const PROCESSES_AT_MOST: usize = 16;

/// A thread over the looks at its process.
#[derive(Clone, Debug, Default)]
pub struct ThreadLooks {
    pub comm: String,
    pub looks: u32,
    pub stopped: u32,
    pub waiting: u32,
    /// Of these, for files to become ready.
    pub waiting_for_files: u32,
    /// By the system call and function that it slept in.
    pub blocked: BTreeMap<String, u32>,
    /// Of these, for a lock.
    pub locked: u32,
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
    /// So many have been taken.
    taken: u32,
    /// By namespace and cookie.
    pub queues: BTreeMap<(u32, u64), Queue>,
    pub processes: HashMap<u32, ProcessLooks>,
}

/// Whom to look at: called with the number of the look and the namespaces where somebody was found.
pub trait Finds: FnMut(u32, Vec<u32>, &mut Enricher) -> Vec<(u32, ListenerSnapshot)> {}

impl<F: FnMut(u32, Vec<u32>, &mut Enricher) -> Vec<(u32, ListenerSnapshot)>> Finds for F {}

/// Looks until the other end of `stop` is gone.
pub fn look_on(mut find: impl Finds, incidents: &Shared, stop: &Receiver<()>) -> Looks {
    let mut enricher = Enricher::new();
    let cgroups = Cgroups::new();
    let mount = cgroups.mount_point();
    let mut looks = Looks::default();
    for look in 0_u32.. {
        enricher.tick(Instant::now());
        let listeners = find(look, looks.places(), &mut enricher);
        let facts = looks.look(listeners, &mut enricher, &cgroups, mount.as_ref());
        take(incidents, facts);
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
    ) -> Vec<Fact> {
        self.taken += 1;
        let mut pressed = Vec::new();
        let mut facts = Vec::new();
        for (netns, listener) in listeners {
            let now = Instant::now();
            facts.push(fact(netns, &listener));
            let (owner, _) = enricher.identity(&listener);
            let key = (netns, listener.cookie);
            let queue = self
                .queues
                .entry(key)
                .or_insert_with(|| Queue::new(netns, &listener));
            queue.seen = (queue.seen.0.min(self.taken), self.taken);
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
            if queue.polls(&polls) {
                let unanswered = enricher.unanswered(queue.netns, &queue.last);
                queue.asked(|pid| task::has_accepted(pid, &unanswered));
            }
            pids.extend(queue.owners.iter().copied());
        }
        pids.sort_unstable();
        pids.dedup();
        let mut doing: HashMap<u32, Vec<ThreadState>> = HashMap::new();
        for pid in pids {
            let Some(process) = task::look(pid) else {
                continue;
            };
            let threads = process.threads.iter();
            doing.insert(pid, threads.map(doing::state).collect());
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
        for fact in &mut facts {
            let key = (fact.place.netns, fact.cookie);
            if let (Some(queue), true) = (self.queues.get(&key), pressed.contains(&key))
                && let What::Look { doing: found, .. } = &mut fact.what
            {
                let states = queue.owners.iter().filter_map(|pid| doing.get(pid));
                for state in states.flatten() {
                    *found.entry(state.clone()).or_default() += 1;
                }
            }
        }
        facts
    }

    /// Those owners of a listener that are to accept, and how many there are in all.
    pub fn acceptors(&self, queue: &Queue) -> (Vec<u32>, usize) {
        queue.acceptors(|pid| {
            let process = self.processes.get(&pid);
            process.is_some_and(ProcessLooks::waits_for_files)
        })
    }

    /// What was found at this place only.
    pub fn of(&self, place: Place) -> Self {
        let mut queues = self.queues.clone();
        queues.retain(|_, queue| queue.place() == place);
        Self {
            taken: self.taken,
            queues,
            processes: self.processes.clone(),
        }
    }
}

fn fact(netns: u32, listener: &ListenerSnapshot) -> Fact {
    Fact {
        mono_ns: mono_ns(),
        place: Place {
            netns,
            addr: listener.addr,
        },
        cookie: listener.cookie,
        what: What::Look {
            queue: (listener.accept_queue_len, listener.accept_queue_limit),
            doing: BTreeMap::new(),
        },
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

    /// Whether all its threads slept until files become ready.
    pub fn waits_for_files(&self) -> bool {
        let waits = |thread: &ThreadLooks| {
            thread.looks >= 3 && thread.waiting_for_files * 10 >= thread.looks * 9
        };
        !self.has_more && !self.threads.is_empty() && self.threads.values().all(waits)
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
        match Doing::of(now) {
            Doing::Stopped => self.stopped += 1,
            Doing::Waiting => self.waiting += 1,
            Doing::WaitingForFiles => {
                self.waiting += 1;
                self.waiting_for_files += 1;
            }
            Doing::Blocked(place) => *self.blocked.entry(place).or_default() += 1,
            Doing::Locked(place) => {
                *self.blocked.entry(place).or_default() += 1;
                self.locked += 1;
            }
            Doing::Running | Doing::Unknown => {}
        }
        let grown = |counter: fn(&task::Thread) -> Option<u64>| {
            Some(counter(now)?.saturating_sub(counter(before?)?))
        };
        self.ran_ns += grown(|thread| thread.ran_ns).unwrap_or(0);
        self.waited_ns += grown(|thread| thread.waited_ns).unwrap_or(0);
    }
}
