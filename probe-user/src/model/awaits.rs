//! What a thread waits for that sleeps, beyond the name of its system call.

use std::{fmt, net::SocketAddr};

use serde::{Deserialize, Serialize};

/// What is known of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Awaits {
    /// A file that it reads or writes, by its path.
    File(String),
    /// A lock on a file; who has it, where /proc/locks says so.
    FileLock {
        path: String,
        owner: Option<(u32, String)>,
    },
    /// A futex, on which so many others of its process sleep.
    Futex(usize),
    /// An answer to a question of the DNS: a UDP socket to port 53.
    Dns(SocketAddr),
    /// One of several files, among which a socket leads to port 53 or 853.
    DnsAmong(SocketAddr),
    /// The other end of a connection.
    Peer(SocketAddr),
    /// One of so many UDP sockets, each of which is a client's.
    Peers(usize),
    /// The same, or one of other files.
    PeersAmong(usize),
}

impl Awaits {
    /// Whether who waits for it has sent a question, most likely to the DNS: it has something to do, and waits to go on.
    pub const fn is_an_answer(&self) -> bool {
        self.is_nothing_else() || matches!(self, Self::PeersAmong(_))
    }

    /// Whether it waits for nothing else that matters.
    pub const fn is_nothing_else(&self) -> bool {
        matches!(self, Self::Dns(_) | Self::DnsAmong(_) | Self::Peers(_))
    }
}

/// As it goes on in a sentence about a thread that slept.
impl fmt::Display for Awaits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "on the file {path}"),
            Self::FileLock {
                path,
                owner: Some((pid, comm)),
            } => write!(f, "for a lock on {path}, which {comm}[{pid}] has"),
            Self::FileLock { path, owner: None } => write!(f, "for a lock on {path}"),
            Self::Futex(0) => {
                f.write_str("on a futex, and no other of the threads looked at on the same")
            }
            Self::Futex(1) => f.write_str("on a futex, and another of its threads on the same"),
            Self::Futex(n) => write!(f, "on a futex, and {n} others of its threads on the same"),
            Self::Dns(server) => write!(f, "likely for the DNS, by UDP from {server}"),
            Self::DnsAmong(server) => {
                write!(
                    f,
                    "likely for the DNS, since one of the files leads to {server}"
                )
            }
            Self::Peer(peer) => write!(f, "on a connection to {peer}"),
            Self::Peers(1) => f.write_str("on a UDP socket of a client"),
            Self::PeersAmong(n) => write!(f, "on {n} UDP sockets of clients or other files"),
            Self::Peers(n) => write!(f, "on {n} UDP sockets of clients"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_of_a_thread_that_slept() {
        let check = |awaits: Awaits, expect: &str| assert_eq!(awaits.to_string(), expect);
        let lock = |owner| Awaits::FileLock {
            path: "/a".into(),
            owner,
        };
        let at = SocketAddr::from(([10, 0, 0, 1], 53));
        check(Awaits::File("/a b".into()), "on the file /a b");
        check(lock(None), "for a lock on /a");
        check(
            lock(Some((7, "sh".into()))),
            "for a lock on /a, which sh[7] has",
        );
        check(
            Awaits::Futex(2),
            "on a futex, and 2 others of its threads on the same",
        );
        check(
            Awaits::Dns(at),
            "likely for the DNS, by UDP from 10.0.0.1:53",
        );
        check(
            Awaits::DnsAmong(at),
            "likely for the DNS, since one of the files leads to 10.0.0.1:53",
        );
        check(Awaits::Peer(at), "on a connection to 10.0.0.1:53");
        check(Awaits::Peers(2), "on 2 UDP sockets of clients");
    }
}
