//! Programs on their way into the kernel, several at a time: the verifier takes most of a start, and works for several threads
//! at once (kernel/bpf/verifier.c:bpf_check locks only those without privileges out; seen side by side on 6.18).
//!
//! Which hook is tried when, and what its answer means, is not decided here: a program that is expected to be needed is
//! loaded by whoever has time, and the answer waits until it is asked for. What nobody asked for is unloaded.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread::{self, Scope, ScopedJoinHandle},
};

use aya::{Btf, Ebpf, programs::Program};

use super::answer::short;

/// However many processors a host has, a start takes no more of them.
const THREADS_AT_MOST: usize = 4;

/// A program and the kernel's answer.
type Answer<'a> = (&'a mut Program, Result<(), String>);

/// What the threads share: programs to load, and as much of the kernel's BTF as aya looks up.
struct Work<'a> {
    btf: &'a Result<Btf, String>,
    tasks: Mutex<VecDeque<Task<'a>>>,
}

struct Task<'a> {
    name: &'a str,
    /// Comes before those that are needed later.
    is_next: bool,
    target: &'static str,
    program: &'a mut Program,
    to: Sender<Answer<'a>>,
}

impl<'a> Work<'a> {
    const fn new(btf: &'a Result<Btf, String>) -> Self {
        Self {
            btf,
            tasks: Mutex::new(VecDeque::new()),
        }
    }

    fn tasks(&self) -> MutexGuard<'_, VecDeque<Task<'a>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, task: Task<'a>) {
        let mut tasks = self.tasks();
        let at = if task.is_next {
            tasks.partition_point(|other| other.is_next)
        } else {
            tasks.len()
        };
        tasks.insert(at, task);
    }

    fn next(&self) -> Option<Task<'a>> {
        self.tasks().pop_front()
    }

    fn take_out(&self, name: &str) -> Option<Task<'a>> {
        let mut tasks = self.tasks();
        let at = tasks.iter().position(|task| task.name == name)?;
        tasks.remove(at)
    }

    fn run(&self, task: Task<'a>) {
        let answer = self.load(task.program, task.target);
        // Nobody waits for an answer when a tier has failed meanwhile.
        let _ = task.to.send((task.program, answer));
    }

    fn load(&self, program: &mut Program, target: &str) -> Result<(), String> {
        let loaded = match program {
            Program::FEntry(program) => program.load(target, self.btf()?),
            Program::FExit(program) => program.load(target, self.btf()?),
            Program::BtfTracePoint(program) => program.load(target, self.btf()?),
            Program::KProbe(program) => program.load(),
            Program::RawTracePoint(program) => program.load(),
            Program::CgroupSkb(program) => program.load(),
            _ => return Err("the object has a program of an unknown kind".into()),
        };
        short(loaded)
    }

    fn btf(&self) -> Result<&'a Btf, String> {
        self.btf.as_ref().map_err(Clone::clone)
    }
}

enum Slot<'a> {
    Untouched(&'a mut Program),
    /// Waits for a thread, or is with one.
    UnderWay(Receiver<Answer<'a>>),
}

/// The object's programs that nobody asked for yet.
pub(super) struct Preload<'scope, 'a: 'scope> {
    scope: &'scope Scope<'scope, 'a>,
    work: Arc<Work<'a>>,
    slots: HashMap<&'a str, Slot<'a>>,
    helpers: Vec<ScopedJoinHandle<'scope, ()>>,
    helpers_at_most: usize,
}

impl<'scope, 'a> Preload<'scope, 'a> {
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'a>,
        ebpf: &'a mut Ebpf,
        btf: &'a Result<Btf, String>,
    ) -> Self {
        let threads = thread::available_parallelism().map_or(1, |n| n.get().min(THREADS_AT_MOST));
        Self {
            scope,
            work: Arc::new(Work::new(btf)),
            slots: ebpf
                .programs_mut()
                .map(|(name, program)| (name, Slot::Untouched(program)))
                .collect(),
            helpers: Vec::new(),
            helpers_at_most: threads - 1,
        }
    }

    /// Has a program loaded that is expected to be needed: next, or when there is time. Without a processor to spare that
    /// waits until it is needed.
    pub(super) fn preload(&mut self, name: &str, target: &'static str, is_next: bool) {
        if self.helpers_at_most == 0 {
            return;
        }
        let Some((name, slot)) = self.slots.remove_entry(name) else {
            return;
        };
        let slot = match slot {
            Slot::Untouched(program) => {
                let (to, answer) = channel();
                self.work.add(Task {
                    name,
                    is_next,
                    target,
                    program,
                    to,
                });
                self.help();
                Slot::UnderWay(answer)
            }
            under_way @ Slot::UnderWay(_) => under_way,
        };
        self.slots.insert(name, slot);
    }

    fn help(&mut self) {
        self.helpers.retain(|helper| !helper.is_finished());
        if self.helpers.len() < self.helpers_at_most {
            let work = Arc::clone(&self.work);
            let help = move || {
                while let Some(task) = work.next() {
                    work.run(task);
                }
            };
            let spawned = thread::Builder::new().spawn_scoped(self.scope, help);
            // Without help all is done here.
            self.helpers.extend(spawned);
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.slots.contains_key(name)
    }

    /// The program and the answer, loaded now if it was not before.
    pub(super) fn take(&mut self, name: &str, target: &'static str) -> Result<Answer<'a>, String> {
        let slot = self.slots.remove(name);
        match slot.ok_or_else(|| format!("the object has no program {name}"))? {
            Slot::Untouched(program) => {
                let answer = self.work.load(program, target);
                Ok((program, answer))
            }
            Slot::UnderWay(answer) => self.wait(name, &answer),
        }
    }

    /// Whoever waits works meanwhile.
    fn wait(&self, name: &str, answer: &Receiver<Answer<'a>>) -> Result<Answer<'a>, String> {
        loop {
            match answer.try_recv() {
                Ok(answer) => return Ok(answer),
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {}
            }
            match self.work.take_out(name).or_else(|| self.work.next()) {
                Some(task) => self.work.run(task),
                None => break,
            }
        }
        // The thread that loads it sends an answer, or its end of the channel goes with it.
        answer
            .recv()
            .map_err(|_| format!("{name} was not loaded: its thread has ended"))
    }

    /// Unloads what was expected and is not needed.
    pub(super) fn give_up(&mut self) {
        drop(mem::take(&mut *self.work.tasks()));
        for slot in self.slots.drain() {
            if let (_, Slot::UnderWay(answer)) = slot
                && let Ok((program, _)) = answer.recv()
            {
                unload(program);
            }
        }
    }

    /// A program is not loaded any more, unless somebody has begun with it.
    pub(super) fn give_up_on(&self, name: &str) {
        drop(self.work.take_out(name));
    }
}

/// Takes a program out of the kernel, and from where it is attached.
pub(super) fn unload(program: &mut Program) {
    // One that is not loaded need not be unloaded.
    let _ = match program {
        Program::FEntry(program) => program.unload(),
        Program::FExit(program) => program.unload(),
        Program::BtfTracePoint(program) => program.unload(),
        Program::KProbe(program) => program.unload(),
        Program::RawTracePoint(program) => program.unload(),
        Program::CgroupSkb(program) => program.unload(),
        _ => Ok(()),
    };
}
