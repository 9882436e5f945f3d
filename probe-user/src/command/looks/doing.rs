//! What a thread is doing, out of its state and the system call it is in.

use crate::inspect::task;

/// What a thread is doing at one look.
pub enum Doing {
    Stopped,
    /// For connections, or for files to become ready.
    Waiting,
    /// Asleep in something else: system call and function.
    Blocked(String),
    /// Or about to.
    Running,
    Unknown,
}

impl Doing {
    pub fn of(thread: &task::Thread) -> Self {
        match (thread.state, thread.syscall) {
            ('T' | 't', _) => Self::Stopped,
            ('R', _) => Self::Running,
            ('S', Some(number)) if task::waits_for_connections(number) => Self::Waiting,
            ('S' | 'D', Some(number)) => {
                let syscall = task::syscall_name(number);
                Self::Blocked(match &thread.wchan {
                    Some(wchan) => format!("{syscall} ({wchan})"),
                    None => syscall,
                })
            }
            _ => Self::Unknown,
        }
    }

    pub fn name(self) -> String {
        match self {
            Self::Stopped => "stopped".into(),
            Self::Waiting => "waiting for connections".into(),
            Self::Blocked(place) => format!("asleep in {place}"),
            Self::Running => "running".into(),
            Self::Unknown => "not known".into(),
        }
    }
}
