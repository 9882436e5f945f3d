//! What a thread was found doing at a look.

use std::fmt;

/// Without what changes from look to look, so that looks can be counted by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ThreadState {
    /// Stopped: by a signal, a tracer, or a frozen cgroup.
    Stopped,
    /// Or for files to become ready, connections perhaps.
    WaitingForConnections,
    /// Asleep in a system call.
    Asleep {
        /// Its name.
        syscall: String,
        /// Until somebody gives a lock back.
        for_lock: bool,
        /// The kernel function, where it is known.
        wchan: Option<String>,
    },
    /// Or about to.
    Running,
    /// Nobody could tell.
    Unknown,
}

impl ThreadState {
    /// `None` where it is not known.
    pub const fn name(&self) -> Option<&'static str> {
        match self {
            Self::Stopped => Some("stopped"),
            Self::WaitingForConnections => Some("waiting-for-connections"),
            Self::Asleep { .. } => Some("asleep"),
            Self::Running => Some("running"),
            Self::Unknown => None,
        }
    }
}

/// For people.
impl fmt::Display for ThreadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::WaitingForConnections => f.write_str("waiting for connections or files"),
            Self::Asleep {
                syscall,
                for_lock,
                wchan,
            } => {
                let lock = if *for_lock { " for a lock" } else { "" };
                write!(f, "asleep in {syscall}{lock}")?;
                match wchan {
                    Some(wchan) => write!(f, " ({wchan})"),
                    None => Ok(()),
                }
            }
            Self::Running => f.write_str("running"),
            Self::Unknown => f.write_str("not known"),
        }
    }
}
