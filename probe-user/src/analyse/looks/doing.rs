//! What a thread is doing, out of its state and the system call it is in.

use crate::model::{
    ThreadState,
    process::{Thread, accepts, waits_for_connections, waits_for_epoll, waits_for_files},
};

/// What a thread that is asleep waits for, where that is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// A connection of the listener that this descriptor leads to.
    Accept(u32),
    /// Files of this epoll instance.
    Epoll(u32),
    /// These files, by poll(2) or select(2); `None` where they are not known.
    Files(Option<Vec<u32>>),
}

impl Wait {
    pub fn of(thread: &Thread) -> Option<Self> {
        let syscall = thread.syscall.as_deref().filter(|_| thread.state == 'S')?;
        match thread.fd {
            // Of io_uring it is not told what was asked of it.
            _ if syscall == "io_uring_enter" => None,
            Some(fd) if accepts(syscall) => Some(Self::Accept(fd)),
            Some(fd) if waits_for_epoll(syscall) => Some(Self::Epoll(fd)),
            _ if accepts(syscall) || waits_for_epoll(syscall) => None,
            _ if waits_for_files(syscall) => Some(Self::Files(thread.polled.clone())),
            _ => None,
        }
    }
}

/// Whether it sleeps in what somebody who has nothing to do does not sleep in: a peer, a lock, a child, a disk.
pub(super) fn is_stuck(thread: &Thread) -> bool {
    const STUCK: [&str; 7] = [
        "connect",
        "flock",
        "fcntl",
        "fsync",
        "fdatasync",
        "wait4",
        "waitid",
    ];
    let is_asleep = matches!(thread.state, 'S' | 'D');
    let of_call = thread
        .syscall
        .as_deref()
        .is_some_and(|call| STUCK.contains(&call));
    let is_known = of_call || thread.waits_for_lock || thread.socket.is_some();
    is_asleep && (is_known || thread.state == 'D')
}

/// What a thread is doing at one look.
pub(super) enum Doing {
    Stopped,
    /// For connections.
    Waiting,
    /// For files to become ready, connections perhaps.
    WaitingForFiles,
    /// Asleep in something else: system call and function.
    Blocked(String),
    /// The same, until somebody gives a lock back.
    Locked(String),
    /// Or about to.
    Running,
    Unknown,
}

impl Doing {
    pub(super) fn of(thread: &Thread) -> Self {
        match (thread.state, thread.syscall.as_deref()) {
            ('T' | 't', _) => Self::Stopped,
            ('R', _) => Self::Running,
            ('S', Some(syscall)) if waits_for_files(syscall) => Self::WaitingForFiles,
            ('S', Some(syscall)) if waits_for_connections(syscall) => Self::Waiting,
            ('S' | 'D', Some(syscall)) => {
                let mut place = syscall.to_owned();
                if thread.waits_for_lock {
                    place.push_str(" for a lock");
                }
                if let Some(wchan) = &thread.wchan {
                    place = format!("{place} ({wchan})");
                }
                if thread.waits_for_lock {
                    Self::Locked(place)
                } else {
                    Self::Blocked(place)
                }
            }
            _ => Self::Unknown,
        }
    }
}

/// The same, to be counted by.
pub(super) fn state(thread: &Thread) -> ThreadState {
    match Doing::of(thread) {
        Doing::Stopped => ThreadState::Stopped,
        Doing::Waiting | Doing::WaitingForFiles => ThreadState::WaitingForConnections,
        Doing::Blocked(_) | Doing::Locked(_) => ThreadState::Asleep {
            syscall: thread.syscall.clone().unwrap_or_default(),
            for_lock: thread.waits_for_lock,
            wchan: thread.wchan.clone(),
        },
        Doing::Running => ThreadState::Running,
        Doing::Unknown => ThreadState::Unknown,
    }
}
