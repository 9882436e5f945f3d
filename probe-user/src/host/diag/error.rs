//! What can go wrong with `sock_diag`, in sentences.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::wire::WireError;
use crate::host::netns::NetnsError;

/// Why `sock_diag` did not answer.
#[derive(Debug, thiserror::Error)]
pub enum DiagError {
    #[error(
        "this kernel answers no sock_diag question about TCP (ENOENT for everything); load the modules with `modprobe inet_diag tcp_diag`"
    )]
    /// The module is not there, and cannot be loaded.
    NoModule,
    /// The socket failed.
    #[error("the sock_diag socket failed at {what}: {source}")]
    Socket {
        /// What was tried.
        what: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel answered with an error.
    #[error("the kernel refused the sock_diag {what}: {source}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    #[error(
        "the kernel did not finish its sock_diag answer in time; the host is very busy or has very many listeners"
    )]
    /// The kernel did not answer in time.
    Timeout,
    /// Others had to be asked first.
    #[error("there was no time left for it after {0:?}")]
    NoTime(Duration),
    /// Sockets changed while they were listed (`NLM_F_DUMP_INTR`), each time.
    #[error("the listeners changed during each of {tries} sock_diag dumps; ask again")]
    Interrupted { tries: u32 },
    /// The answer is none.
    #[error("the kernel's sock_diag answer could not be understood: {0}")]
    Malformed(#[from] WireError),
    #[error(
        "{local} and {remote} cannot be the two ends of one connection: one is IPv4, the other IPv6"
    )]
    /// One end is IPv4 and the other IPv6.
    MixedFamilies {
        /// This host's end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
    },
    /// The namespace cannot be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
}

impl DiagError {
    /// Whether that is what a namespace that has ended looks like.
    pub fn is_gone(&self) -> bool {
        matches!(self, DiagError::Netns(error) if error.is_gone())
    }

    pub(super) fn refused(what: &'static str, errno: i32) -> DiagError {
        DiagError::Refused {
            what,
            source: io::Error::from_raw_os_error(errno),
        }
    }

    pub(super) fn socket(what: &'static str) -> impl Fn(io::Error) -> DiagError {
        move |source| DiagError::Socket { what, source }
    }
}
