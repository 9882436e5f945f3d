//! Who holds a socket.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A process that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The process, by its number in whydrop's PID namespace.
    pub pid: u32,
    /// Its name: `task->comm`, 15 bytes at most.
    pub comm: String,
    /// The file it was started from, with the kernel's ` (deleted)` where it has been replaced since; `None` for one of
    /// the kernel's own threads, and where it may not be looked at.
    pub exe: Option<Arc<str>>,
}

/// Who has started a process, or has taken it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The process whose parent it is.
    pub of: u32,
    /// The parent, by its number in whydrop's PID namespace.
    pub pid: u32,
    /// Its name: `task->comm`, 15 bytes at most.
    pub comm: String,
}
