//! One process over all looks at it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::doing::{Doing, Wait, is_stuck};
use crate::model::{
    Awaits, ObservedCgroup, ObservedProcess,
    process::{Process, Thread, by_tid},
    stall::Stall,
};

/// After so many looks that did not find its queue full a process begins anew.
const LOOKS_BETWEEN: u32 = 3;

/// And after so long without a look: what it did meanwhile it may not have done while its queue was full.
const APART_NS: u64 = 250_000_000;

/// What a thread waited for is told apart so many times.
const WAITS_AT_MOST: usize = 64;

/// A thread over the looks at its process.
#[derive(Clone, Debug, Default)]
pub struct ThreadLooks {
    /// Its name: `task->comm`, 15 bytes at most.
    pub comm: String,
    /// How often it was looked at.
    pub looks: u32,
    /// Of these, how often it was stopped.
    pub stopped: u32,
    /// Of these, how often it waited for connections.
    pub waiting: u32,
    /// Of these, for files to become ready.
    pub waiting_for_files: u32,
    /// What it waited for, as far as it is known.
    pub waits: BTreeMap<Wait, u32>,
    /// Asleep in what somebody who has nothing to do does not sleep in.
    pub stuck: u32,
    /// By the system call and function that it slept in.
    pub blocked: BTreeMap<String, u32>,
    /// Of these, for a lock.
    pub locked: u32,
    /// How long it ran between the first look and the last, in nanoseconds.
    pub ran_ns: u64,
    /// How long it was runnable without a processor, in nanoseconds.
    pub waited_ns: u64,
    /// Between looks of which times are known.
    pub known_ns: u64,
    /// What it waited for beyond that, by how often it was found when it was asked.
    pub awaits: BTreeMap<Awaits, u32>,
}

/// What looks at a process found together.
#[derive(Clone, Debug, Default)]
pub struct ProcessLooks {
    /// Its name: `task->comm`, 15 bytes at most.
    pub comm: String,
    /// By thread.
    pub threads: BTreeMap<u32, ThreadLooks>,
    /// Open descriptors at most, and RLIMIT_NOFILE.
    pub fds: Option<(u64, u64)>,
    /// What its cgroup did meanwhile.
    pub cgroup: Option<CgroupLooks>,
    /// It had more threads than are looked at.
    pub has_more: bool,
    /// How often it was asked what its threads wait for.
    pub asked: u32,
    last: Option<(u32, Process)>,
}

/// What looks at a cgroup found together.
#[derive(Clone, Debug)]
pub struct CgroupLooks {
    /// Its path.
    pub path: String,
    /// How often it was looked at.
    pub looks: u32,
    /// Of these, how often it was frozen.
    pub frozen: u32,
    first: (u64, Stall),
    last: (u64, Stall),
}

impl CgroupLooks {
    /// From the first look to the last.
    pub const fn time(&self) -> Duration {
        Duration::from_nanos(self.last.0.saturating_sub(self.first.0))
    }

    /// How far a counter grew between the first look and the last.
    pub fn grown(&self, counter: impl Fn(&Stall) -> Option<u64>) -> Option<u64> {
        Some(counter(&self.last.1)?.saturating_sub(counter(&self.first.1)?))
    }
}

impl ProcessLooks {
    pub(super) fn saw(&mut self, seen: &ObservedProcess) {
        let now = &seen.process;
        let last = self.last.take();
        let last = last.filter(|(look, last)| {
            seen.look.saturating_sub(*look) <= LOOKS_BETWEEN
                && now.taken_ns.saturating_sub(last.taken_ns) <= APART_NS
        });
        let before: Option<HashMap<u32, &Thread>> = last.as_ref().map(|(_, last)| by_tid(last));
        for thread in &now.threads {
            let looks = self.threads.entry(thread.tid).or_default();
            looks.comm.clone_from(&thread.comm);
            looks.looks += 1;
            let before = before.as_ref().and_then(|before| before.get(&thread.tid));
            looks.saw(thread, before.copied());
            if let (Some((_, last)), Some(_)) = (&last, before) {
                looks.known_ns += now.taken_ns.saturating_sub(last.taken_ns);
            }
        }
        self.awaited(seen);
        if let Some((open, limit)) = now.fds {
            let most = self.fds.map_or(open, |(most, _)| most.max(open));
            self.fds = Some((most, limit));
        }
        self.comm.clone_from(&now.comm);
        self.has_more |= now.has_more;
        if let Some(cgroup) = &seen.cgroup {
            self.is_in(cgroup, now.taken_ns);
        }
        self.last = Some((seen.look, now.clone()));
    }

    fn awaited(&mut self, seen: &ObservedProcess) {
        let Some(awaits) = &seen.awaits else { return };
        self.asked += 1;
        for (tid, what) in awaits {
            let known = &mut self.threads.entry(*tid).or_default().awaits;
            if known.len() < WAITS_AT_MOST || known.contains_key(what) {
                *known.entry(what.clone()).or_default() += 1;
            }
        }
    }

    /// What this thread waited for, mostly.
    pub fn awaits(&self, thread: &ThreadLooks) -> Option<Awaits> {
        let most = thread.awaits.iter().max_by_key(|(_, n)| **n);
        most.filter(|(_, n)| **n * 2 > self.asked)
            .map(|(what, _)| what.clone())
    }

    /// Whether all its threads slept until files become ready.
    pub fn waits_for_files(&self) -> bool {
        let waits = |thread: &ThreadLooks| {
            thread.looks >= 3 && thread.waiting_for_files * 10 >= thread.looks * 9
        };
        !self.has_more && !self.threads.is_empty() && self.threads.values().all(waits)
    }

    fn is_in(&mut self, cgroup: &ObservedCgroup, mono_ns: u64) {
        let now = (mono_ns, cgroup.stall);
        let looks = self.cgroup.get_or_insert_with(|| CgroupLooks {
            path: cgroup.path.clone(),
            looks: 0,
            frozen: 0,
            first: now,
            last: now,
        });
        looks.looks += 1;
        looks.frozen += u32::from(cgroup.stall.is_frozen == Some(true));
        looks.last = now;
    }
}

impl ThreadLooks {
    fn saw(&mut self, now: &Thread, before: Option<&Thread>) {
        self.stuck += u32::from(is_stuck(now));
        if let Some(wait) = Wait::of(now)
            && (self.waits.len() < WAITS_AT_MOST || self.waits.contains_key(&wait))
        {
            *self.waits.entry(wait).or_default() += 1;
        }
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
        let grown = |counter: fn(&Thread) -> Option<u64>| {
            Some(counter(now)?.saturating_sub(counter(before?)?))
        };
        self.ran_ns += grown(|thread| thread.ran_ns).unwrap_or(0);
        self.waited_ns += grown(|thread| thread.waited_ns).unwrap_or(0);
    }
}
