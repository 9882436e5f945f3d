//! What a thread is doing, out of its state and the system call it is in.

use crate::model::{
    ThreadState,
    process::{Thread, waits_for_connections, waits_for_files},
};

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
