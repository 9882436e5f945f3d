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
    /// The descriptor that this call is about: its first argument, or the only one that poll(2) or select(2) waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fd: Option<u32>,
    /// Its inode number, where it is a socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<u32>,
    /// What poll(2) or select(2) waits for, as far as its memory could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polled: Option<Vec<u32>>,
    /// Where the futex is that it sleeps on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub futex: Option<u64>,
}

/// Whether a thread in this system call is waiting for a connection, or for any file to become ready.
pub fn waits_for_connections(syscall: &str) -> bool {
    accepts(syscall) || waits_for_files(syscall)
}

/// Whether it is a call that takes a connection, of which the first argument is the listener; io_uring does so for others.
pub fn accepts(syscall: &str) -> bool {
    ACCEPTS.contains(&syscall)
}

/// Whether it waits for files of an epoll instance, which is its first argument.
pub fn waits_for_epoll(syscall: &str) -> bool {
    syscall.starts_with("epoll_")
}

/// Whether it waits for files to become ready: it does not sleep in that while one that it waits for is
/// (fs/select.c:do_select, do_poll; of epoll instances `is_polled` tells what they wait for).
pub fn waits_for_files(syscall: &str) -> bool {
    FILES.contains(&syscall)
}

const ACCEPTS: [&str; 3] = ["accept", "accept4", "io_uring_enter"];

const FILES: [&str; 7] = [
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
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
