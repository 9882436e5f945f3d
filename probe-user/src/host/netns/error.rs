//! What can go wrong on the way into a network namespace, in sentences.

use std::io;
use std::path::PathBuf;

/// Why a namespace cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    #[error(
        "no way into network namespace {inum}: no process lives in it, no file under /run/netns or other mount names it and no process holds it open; \
         it has ended, or only sockets keep it alive"
    )]
    /// Nothing that is known leads into it.
    NoWay { inum: u32 },
    /// It has not been looked for.
    #[error("network namespace {inum} was not found just now; it is looked for again in a moment")]
    NotYet { inum: u32 },
    #[error(
        "network namespace {inum} exists but may not be opened: {source}; run as root or with CAP_SYS_PTRACE and CAP_SYS_ADMIN"
    )]
    /// It may not be opened.
    Denied { inum: u32, source: io::Error },
    /// It cannot be opened.
    #[error("network namespace {inum} exists but could not be opened: {source}")]
    Open { inum: u32, source: io::Error },
    #[error(
        "network namespace {inum} could not be entered: {source}; entering needs CAP_SYS_ADMIN"
    )]
    /// It cannot be entered.
    Enter { inum: u32, source: io::Error },
    /// No namespace has this name.
    #[error("no network namespace and no process is called `{spec}`; {known}")]
    UnknownName { spec: String, known: KnownNames },
    /// No process has this number.
    #[error("there is no process {pid} and no network namespace of that name; {known}")]
    UnknownPid { pid: u32, known: KnownNames },
    #[error(
        "the network namespace of process {pid} could not be read: {source}; run as root or with CAP_SYS_PTRACE"
    )]
    /// The process cannot be asked for its namespace.
    Process { pid: u32, source: io::Error },
    /// The path is there, and is no network namespace.
    #[error("{} is not a network namespace; give a file as `ip netns add` makes it, or /proc/<pid>/ns/net", path.display())]
    NotANetns { path: PathBuf },
    /// The path cannot be opened.
    #[error("{} could not be looked at: {source}", path.display())]
    Path { path: PathBuf, source: io::Error },
}

impl NetnsError {
    /// The error of a failed [`super::inside`].
    pub fn enter(inum: u32, source: io::Error) -> NetnsError {
        NetnsError::Enter { inum, source }
    }

    /// Whether that is what a namespace that has ended looks like.
    pub fn is_gone(&self) -> bool {
        matches!(self, NetnsError::NoWay { .. } | NetnsError::NotYet { .. })
    }
}

/// The names a user could have meant.
#[derive(Debug)]
pub struct KnownNames(pub Vec<String>);

impl std::fmt::Display for KnownNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_slice() {
            [] => write!(
                f,
                "`ip netns list` knows no name here, give a process number or a path"
            ),
            names => {
                write!(
                    f,
                    "known names: {}",
                    names[..names.len().min(10)].join(", ")
                )?;
                if names.len() > 10 {
                    write!(f, " and {} more", names.len() - 10)
                } else {
                    Ok(())
                }
            }
        }
    }
}
