//! A process and its threads at one instant.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// One process at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The process, by its number in whydrop's PID namespace.
    pub pid: u32,
    /// Its name: `task->comm`, 15 bytes at most.
    pub comm: String,
    /// When it was taken, CLOCK_MONOTONIC in nanoseconds.
    pub taken_ns: u64,
    /// Its threads, as many as were looked at.
    pub threads: Vec<Thread>,
    /// Whether it has more threads than these.
    pub has_more: bool,
    /// Open descriptors, and RLIMIT_NOFILE.
    pub fds: Option<(u64, u64)>,
}

/// One thread at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The thread, by its number in whydrop's PID namespace.
    pub tid: u32,
    /// Its name: `task->comm`, 15 bytes at most.
    pub comm: String,
    /// As in /proc/PID/stat: `R`, `S`, `D`, `T`, `t`…
    pub state: char,
    /// Nanoseconds on a CPU, and runnable without one (/proc/PID/schedstat, CONFIG_SCHED_INFO).
    pub ran_ns: Option<u64>,
    /// How long it was runnable without a processor (/proc/PID/task/TID/schedstat), in nanoseconds.
    pub waited_ns: Option<u64>,
    /// The name of the system call that it sleeps in: numbers differ between architectures.
    pub syscall: Option<String>,
    /// Whether that call waits until somebody gives a lock back.
    pub waits_for_lock: bool,
    /// The kernel function that it sleeps in.
    pub wchan: Option<String>,
}

/// Whether a thread in this system call is waiting for a connection, or for any file to become ready.
pub fn waits_for_connections(syscall: &str) -> bool {
    ACCEPTS.contains(&syscall) || waits_for_files(syscall)
}

/// Whether it waits for files to become ready: it does not sleep in that while one that it waits for is
/// (fs/select.c:do_select, do_poll; of epoll instances `is_polled` tells what they wait for).
pub fn waits_for_files(syscall: &str) -> bool {
    FILES.contains(&syscall)
}

const ACCEPTS: [&str; 3] = ["accept", "accept4", "io_uring_enter"];

const FILES: [&str; 6] = [
    "epoll_wait",
    "epoll_pwait",
    "poll",
    "ppoll",
    "select",
    "pselect6",
];

/// The threads of a later look by number.
pub fn by_tid(process: &Process) -> HashMap<u32, &Thread> {
    process
        .threads
        .iter()
        .map(|thread| (thread.tid, thread))
        .collect()
}
