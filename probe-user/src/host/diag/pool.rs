//! A [`Diag`] for each namespace that is being asked about.
//!
//! In: a namespace's number. Out: a socket in it, made on demand. It never keeps a socket that has not been used for [`IDLE`]:
//! a socket keeps its namespace alive, and a container's should end with the container.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::{Diag, DiagError};
use crate::host::netns::{NetnsError, current};

/// How long an unused socket is kept.
pub const IDLE: Duration = Duration::from_secs(2);
/// More open sockets than this are not worth their descriptors.
const SOCKETS: usize = 128;

/// That of whydrop's own namespace where the kernel has no cookies (before 5.14): as long as whydrop is there, so is this one,
/// and its number is no other's. No cookie of the kernel is so large.
const OWN: u64 = u64::MAX;

/// What tells a namespace from another one that has its number later.
fn identity(cookie: Option<u64>, is_here: bool) -> Option<u64> {
    cookie.or(is_here.then_some(OWN))
}

/// Netlink sockets, one a namespace, closed when they are idle.
#[derive(Debug, Default)]
pub struct DiagPool {
    open: HashMap<u32, (Diag, Instant)>,
    /// Net cookies of all that were ever opened.
    cookies: HashMap<u32, u64>,
}

impl DiagPool {
    /// Without a socket.
    pub fn new() -> DiagPool {
        DiagPool::default()
    }

    /// The socket of namespace `inum`, into which `way` leads; opened when there is none or when the last answer on it was not read to its end.
    pub fn get(
        &mut self,
        way: impl FnOnce(u32) -> Result<OwnedFd, NetnsError>,
        inum: u32,
        now: Instant,
    ) -> Result<&mut Diag, DiagError> {
        let kept = self
            .open
            .remove(&inum)
            .map(|(diag, _)| diag)
            .filter(|diag| !diag.is_spoiled());
        let diag = if let Some(diag) = kept {
            diag
        } else {
            let is_here = current().is_ok_and(|current| current == inum);
            let diag = if is_here {
                Diag::open()?
            } else {
                Diag::open_in(way(inum)?.as_fd())?
            };
            let cookie = identity(diag.netns_cookie(), is_here);
            match cookie {
                Some(cookie) => drop(self.cookies.insert(inum, cookie)),
                None => drop(self.cookies.remove(&inum)),
            }
            diag
        };
        if self.open.len() >= SOCKETS {
            self.drop_oldest();
        }
        Ok(&mut self.open.entry(inum).insert_entry((diag, now)).into_mut().0)
    }

    /// The net cookie of whoever had this number when a socket was last opened for it; asks nobody.
    pub fn last_cookie(&self, inum: u32) -> Option<u64> {
        self.cookies.get(&inum).copied()
    }

    /// Closes what has not been used for a while. Call it every second or so.
    pub fn expire(&mut self, now: Instant) {
        self.open
            .retain(|_, (_, used)| now.saturating_duration_since(*used) < IDLE);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self
            .open
            .iter()
            .min_by_key(|(_, (_, used))| *used)
            .map(|(inum, _)| *inum)
        {
            self.open.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_namespace_is_itself_without_a_cookie_too() {
        assert_eq!(identity(Some(7), true), Some(7));
        assert_eq!(identity(None, true), identity(None, true));
        assert_eq!(identity(None, true), Some(OWN));
        assert_eq!(identity(None, false), None);
    }
}
