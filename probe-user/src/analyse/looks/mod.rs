//! Looks at queues and processes come in, with their times; what they found of each listener and of each process goes
//! out. Reads no clock.

mod doing;
mod holders;
mod process;
mod queue;

use std::collections::{BTreeMap, HashMap};

pub use self::{
    doing::Wait,
    holders::Held,
    process::{CgroupLooks, ProcessLooks, ThreadLooks},
    queue::Queue,
};
use crate::model::{
    ObservedProcess, ObservedQueue, ThreadState,
    incident::{Fact, Place, What},
};

/// Everything that was found.
#[derive(Clone, Default)]
pub struct Looks {
    /// By namespace and cookie.
    pub queues: BTreeMap<(u32, u64), Queue>,
    /// What was seen of each process, by PID.
    pub processes: HashMap<u32, ProcessLooks>,
    /// What the threads of a process were doing at the last look, and its number.
    doing: HashMap<u32, (u32, Vec<ThreadState>)>,
}

impl Looks {
    /// A process. Those of one look come before its queues.
    pub fn process(&mut self, seen: &ObservedProcess) {
        let threads = seen.process.threads.iter();
        let doing = threads.map(doing::state).collect();
        self.doing.insert(seen.process.pid, (seen.look, doing));
        let process = self.processes.entry(seen.process.pid).or_default();
        process.saw(seen);
    }

    /// A queue; what an incident is told of it comes out.
    pub fn queue(&mut self, seen: &ObservedQueue) -> Fact {
        let queue = self
            .queues
            .entry((seen.netns, seen.snapshot.cookie))
            .or_insert_with(|| Queue::new(seen.netns, &seen.snapshot));
        queue.saw(seen);
        let mut doing = BTreeMap::new();
        if seen.is_over_its_limit() {
            for owner in seen.owners.iter() {
                let states = self.doing.get(&owner.pid);
                let states = states.filter(|(look, _)| *look == seen.look);
                for state in states.into_iter().flat_map(|(_, states)| states) {
                    *doing.entry(state.clone()).or_default() += 1;
                }
            }
        }
        let snapshot = &seen.snapshot;
        Fact {
            mono_ns: snapshot.taken_mono_ns,
            place: queue.place(),
            cookie: snapshot.cookie,
            what: What::Look {
                queue: (snapshot.accept_queue_len, snapshot.accept_queue_limit),
                doing,
            },
        }
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
        let there = self.queues.iter().filter(|(_, q)| q.place() == place);
        let queues: BTreeMap<(u32, u64), Queue> =
            there.map(|(key, queue)| (*key, queue.clone())).collect();
        let owners = queues.values().flat_map(|queue| &queue.owners);
        let known = owners.filter_map(|pid| self.processes.get_key_value(pid));
        Self {
            processes: known.map(|(pid, looks)| (*pid, looks.clone())).collect(),
            queues,
            doing: HashMap::new(),
        }
    }
}
