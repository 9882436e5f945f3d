//! Servers of scenes: whydrop once more, as a process of its own with the listener for its standard input.

use std::{
    fs, hint, io,
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use clap::Args;
use rustix::{
    event::{EventfdFlags, epoll, eventfd},
    io::Errno,
    net::{SocketFlags, accept_with},
    process::{
        Pid, Resource, Rlimit, Signal, getppid, kill_process, set_parent_process_death_signal,
        setpriority_process, setrlimit, setsid,
    },
    thread::{CpuSet, sched_setaffinity, set_name},
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize};

use super::stage::wait_for_ready;
use crate::command::say;

/// A server's share of the CPU does not depend on how busy the host is, where the scene is about something else.
const PREFERRED: i32 = -10;

/// How a server works. The plain one accepts at once and closes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Work {
    /// CPU time that each connection costs it.
    pub spin: Duration,
    /// Bytes of memory that it writes to for each.
    pub writes: usize,
    /// It sleeps so long after each.
    pub rest: Duration,
    /// Connections stay open.
    pub keeps: bool,
    /// It does not wait for the listener any more when it has accepted so many.
    pub most: Option<u32>,
    /// It never accepts: a thread with the name of a garbage collector uses a CPU, and all others wait for it.
    pub collects: bool,
    /// RLIMIT_NOFILE.
    pub files: Option<u64>,
    pub nice: i32,
    /// The only one that it may run on.
    pub cpu: Option<usize>,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            spin: Duration::ZERO,
            writes: 0,
            rest: Duration::ZERO,
            keeps: false,
            most: None,
            collects: false,
            files: None,
            nice: PREFERRED,
            cpu: None,
        }
    }
}

#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// It ends with this process.
    parent: i32,
    #[arg(value_parser = parse)]
    work: Work,
}

fn parse(text: &str) -> Result<Work, serde_json::Error> {
    serde_json::from_str(text)
}

/// A server, seen from the scene. It ends when this is dropped, or the thread that started it.
pub(super) struct Server(Child);

impl Server {
    /// One that has the listener for itself when the caller drops its own.
    pub(super) fn start(listener: &OwnedFd, work: &Work) -> io::Result<Self> {
        Self::with(listener.try_clone()?.into(), work)
    }

    /// One without a listener, that only uses its CPU.
    pub(super) fn spin(work: &Work) -> io::Result<Self> {
        Self::with(Stdio::null(), work)
    }

    fn with(input: Stdio, work: &Work) -> io::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .args(["demo-helper", "serve"])
            .arg(std::process::id().to_string())
            .arg(serde_json::to_string(work)?)
            .stdin(input)
            .stdout(Stdio::piped())
            .spawn()?;
        let ready = wait_for_ready(&mut child);
        let server = Self(child);
        ready.map(|()| server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        // It was not waited for, so its number is still its own.
        match Pid::from_raw(self.0.id().cast_signed()) {
            Some(pid) => Ok(kill_process(pid, signal)?),
            None => Ok(()),
        }
    }
}

impl Server {
    /// Asks it to end, as whoever stops a service does, and waits until it has.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        self.0.wait().map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server's side.
pub(super) fn serve(args: &ServeArgs) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Pid::from_raw(args.parent) {
        return Ok(());
    }
    let work = &args.work;
    set_name(c"demo-server")?;
    // Ctrl-C is for whydrop alone.
    setsid()?;
    prefer(work.nice);
    if let Some(cpu) = work.cpu.filter(|cpu| *cpu < CpuSet::MAX_CPU) {
        let mut cpus = CpuSet::new();
        cpus.set(cpu);
        sched_setaffinity(None, &cpus)?;
    }
    if let Some(files) = work.files {
        let limit = Rlimit {
            current: Some(files),
            maximum: Some(files),
        };
        setrlimit(Resource::Nofile, limit)?;
    }
    let listener = io::stdin();
    let is_listener = rustix::net::sockopt::socket_acceptconn(&listener).unwrap_or(false);
    if say("ready").is_err() {
        return Ok(());
    }
    if !is_listener {
        spin(Duration::MAX);
        return Ok(());
    }
    if work.collects {
        return collect();
    }
    work.accept_from(listener)
}

/// As the serial and the parallel collectors of OpenJDK do.
fn collect() -> io::Result<()> {
    let collector = thread::Builder::new().name("GC Thread#0".to_owned());
    let collector = collector.spawn(|| spin(Duration::MAX))?;
    let ended = collector.join();
    ended.map_err(|_| io::Error::other("the collector panicked"))
}

/// A nice value for this process, and for its session, which is what counts among sessions where the kernel groups by
/// them (sched_autogroup_enabled, seen on 6.18). Whoever may not has a scene that depends on how busy the host is.
fn prefer(nice: i32) {
    let _ = setpriority_process(None, nice);
    let _ = fs::write("/proc/self/autogroup", nice.to_string());
}

impl Work {
    fn accept_from(&self, listener: impl AsFd) -> io::Result<()> {
        let files = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // What never happens, and is waited for all the same.
        let other = eventfd(0, EventfdFlags::CLOEXEC)?;
        let readable = epoll::EventFlags::IN;
        epoll::add(&files, &other, epoll::EventData::new_u64(0), readable)?;
        epoll::add(&files, &listener, epoll::EventData::new_u64(1), readable)?;
        let mut left = self.most.unwrap_or(u32::MAX);
        let mut memory = vec![0; self.writes];
        let mut kept = Vec::new();
        let mut events = Vec::with_capacity(1);
        loop {
            if left == 0 {
                epoll::delete(&files, &listener)?;
            }
            epoll::wait(&files, rustix::buffer::spare_capacity(&mut events), None)?;
            events.clear();
            match accept_with(&listener, SocketFlags::CLOEXEC) {
                Ok(connection) if self.keeps => kept.push(connection),
                Ok(connection) => drop(connection),
                // Somebody else took it; or there is no descriptor for it.
                Err(Errno::AGAIN | Errno::MFILE) => {}
                Err(error) => return Err(error.into()),
            }
            left = left.saturating_sub(1);
            spin(self.spin);
            write_to(&mut memory);
            thread::sleep(self.rest);
        }
    }
}

/// Needs each page of it.
fn write_to(memory: &mut [u8]) {
    const PAGE: usize = 4096;
    for byte in memory.iter_mut().step_by(PAGE) {
        *byte = hint::black_box(byte.wrapping_add(1));
    }
}

/// Uses so much CPU time.
fn spin(time: Duration) {
    let used = || {
        let used = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
    };
    let begin = used();
    while used().saturating_sub(begin) < time {}
}
