//! What can go wrong with `sock_diag`, in sentences.

use std::io;
use std::net::SocketAddr;

use super::wire::WireError;
use crate::host::netns::NetnsError;

#[derive(Debug, thiserror::Error)]
pub enum DiagError {
    #[error(
        "this kernel answers no sock_diag question about TCP (ENOENT for everything); load the modules with `modprobe inet_diag tcp_diag`"
    )]
    NoModule,
    #[error("the sock_diag socket failed at {what}: {source}")]
    Socket {
        what: &'static str,
        source: io::Error,
    },
    #[error("the kernel refused the sock_diag {what}: {source}")]
    Refused {
        what: &'static str,
        source: io::Error,
    },
    #[error(
        "the kernel did not finish its sock_diag answer in time; the host is very busy or has very many listeners"
    )]
    Timeout,
    #[error("the listeners changed during each of {tries} sock_diag dumps; ask again")]
    Interrupted { tries: u32 },
    #[error("the kernel's sock_diag answer could not be understood: {0}")]
    Malformed(#[from] WireError),
    #[error(
        "{local} and {remote} cannot be the two ends of one connection: one is IPv4, the other IPv6"
    )]
    MixedFamilies {
        local: SocketAddr,
        remote: SocketAddr,
    },
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
