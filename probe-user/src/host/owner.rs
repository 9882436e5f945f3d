//! Which processes hold a socket: all of them, not the one that happened to run when a packet came in.
//!
//! In: a socket's inode number. Out: pid, comm and program of each process with a descriptor of it. It remembers only sockets
//! it was asked for, checks what it remembers against /proc before it repeats it, and leaves `comm` as the kernel has it:
//! whoever prints it makes it safe for a terminal.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::readlinkat_raw;

use super::holder::{Holder, LINK_BYTES, look_at, socket_of};
use super::open_files::OpenFiles;
use super::pace::Pace;
use super::procfs::{for_each_pid, open_proc};
use super::status::mask;
use crate::model::owner::Owner;

/// How long an answer is good without looking for further processes (a server may fork more workers).
const FRESH: Duration = Duration::from_secs(5);
/// How long a socket without any process is taken for such.
const NOBODY: Duration = Duration::from_secs(1);

/// Scans that may follow each other at once.
const BURST: u32 = 4;

#[derive(Debug)]
struct Entry {
    owners: Arc<[Owner]>,
    /// The descriptor of each owner, relative to /proc, so that one `readlink` tells whether it still holds the socket.
    links: Vec<String>,
    seen: Instant,
}

/// Owners of sockets, remembered as long as they are looked for.
#[derive(Debug)]
pub struct Owners {
    proc: Option<OwnedFd>,
    /// Looked up for each event.
    known: foldhash::HashMap<u32, Entry>,
    pace: Pace,
    unreadable: u32,
}

impl Default for Owners {
    fn default() -> Owners {
        Owners::new()
    }
}

impl Owners {
    /// Nothing is known yet.
    pub fn new() -> Owners {
        let pace = Pace::new(Duration::from_millis(20), Duration::from_mins(1), BURST);
        Owners {
            proc: open_proc().ok(),
            known: foldhash::HashMap::default(),
            pace,
            unreadable: 0,
        }
    }

    /// The processes that hold `socket:[inode]`; none when nobody does, when they may not be looked at, or when the
    /// last scan was a moment ago and did not know the socket yet.
    pub fn find(&mut self, inode: u32) -> Arc<[Owner]> {
        // 0 stands for "no file": a request, a socket in TIME_WAIT, one that was closed.
        if inode == 0 {
            return nobody();
        }
        let now = Instant::now();
        if let Some(entry) = self.known.get(&inode) {
            let age = now.saturating_duration_since(entry.seen);
            let good = if entry.owners.is_empty() {
                age < NOBODY
            } else {
                age < FRESH && self.all_hold(entry, inode)
            };
            if good {
                return Arc::clone(&entry.owners);
            }
        }
        if self.pace.due(now) {
            self.paced_scan([inode]);
            return self
                .known
                .get(&inode)
                .map_or_else(nobody, |entry| Arc::clone(&entry.owners));
        }
        match self.known.get(&inode) {
            Some(entry) => self.still_holding(entry, inode),
            None => nobody(),
        }
    }

    /// What is remembered of the socket, without a look.
    pub fn known(&self, inode: u32) -> Arc<[Owner]> {
        self.known
            .get(&inode)
            .map_or_else(nobody, |entry| Arc::clone(&entry.owners))
    }

    /// Looks for many sockets in one scan. Not limited in rate: the caller knows when.
    pub fn prime(&mut self, inodes: &HashSet<u32>) {
        self.scan(inodes.iter().copied().filter(|inode| *inode != 0));
    }

    /// Takes what a search for these sockets has found.
    pub fn meet(&mut self, inodes: &HashSet<u32>, found: OpenFiles) {
        let asked = inodes.iter().copied().filter(|inode| *inode != 0);
        self.unreadable = found.unreadable;
        self.remember(asked, found.sockets);
    }

    /// Looks for those of `inodes` that it does not know yet, in one scan for all of them, when one is due.
    pub fn learn(&mut self, inodes: impl IntoIterator<Item = u32>) {
        let mut unknown: Vec<u32> = inodes
            .into_iter()
            .filter(|inode| *inode != 0 && !self.known.contains_key(inode))
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() && self.pace.due(Instant::now()) {
            self.paced_scan(unknown);
        }
    }

    fn paced_scan(&mut self, inodes: impl IntoIterator<Item = u32>) {
        let start = Instant::now();
        self.scan(inodes);
        self.pace.ran(start, Instant::now());
    }

    /// Processes that live but could not be looked at in the last scan: not ours and no CAP_SYS_PTRACE, or we are out of descriptors.
    pub fn unreadable(&self) -> u32 {
        self.unreadable
    }

    fn all_hold(&self, entry: &Entry, inode: u32) -> bool {
        let Some(proc) = &self.proc else { return false };
        entry
            .links
            .iter()
            .all(|link| holds(proc.as_fd(), link.as_str(), inode))
    }

    fn still_holding(&self, entry: &Entry, inode: u32) -> Arc<[Owner]> {
        let Some(proc) = &self.proc else {
            return nobody();
        };
        let holding = |link: &String| holds(proc.as_fd(), link.as_str(), inode);
        entry
            .owners
            .iter()
            .zip(&entry.links)
            .filter(|(_, link)| holding(link))
            .map(|(owner, _)| owner.clone())
            .collect()
    }

    fn scan(&mut self, more: impl IntoIterator<Item = u32>) {
        let start = Instant::now();
        // A socket that had nobody for long is closed; its number is forgotten.
        self.known.retain(|_, entry| {
            !entry.owners.is_empty() || start.saturating_duration_since(entry.seen) < 10 * NOBODY
        });
        let wanted: HashSet<u32> = self.known.keys().copied().chain(more).collect();
        let mut found = Vec::new();
        self.unreadable = match &self.proc {
            Some(proc) => scan_processes(proc.as_fd(), &wanted, &mut found),
            None => 1,
        };
        self.remember(wanted, found);
    }

    /// What was found of these sockets, by ascending pid; nobody holds one that was not.
    fn remember(&mut self, sockets: impl IntoIterator<Item = u32>, found: Vec<Holder>) {
        let seen = Instant::now();
        let mut of_each: HashMap<u32, (Vec<Owner>, Vec<String>)> = sockets
            .into_iter()
            .map(|inode| (inode, Default::default()))
            .collect();
        for (inode, owner, link) in found {
            let (owners, links) = of_each.entry(inode).or_default();
            owners.push(owner);
            links.push(link);
        }
        let entries = of_each.into_iter().map(|(inode, (owners, links))| {
            let owners = owners.into();
            (
                inode,
                Entry {
                    owners,
                    links,
                    seen,
                },
            )
        });
        self.known.extend(entries);
    }
}

/// The number of the first PID namespace (include/linux/proc_ns.h:PROC_PID_INIT_INO).
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
/// Of include/uapi/linux/capability.h.
const SYS_PTRACE: u32 = 19;

/// Why processes may be missing from /proc, for a process with this /proc/self/status; `None` where all are there.
pub fn blind_spot(status: &[u8]) -> Option<&'static str> {
    let is_first = rustix::fs::stat(c"/proc/self/ns/pid")
        .is_ok_and(|found| found.st_ino == FIRST_PID_NAMESPACE);
    let may_look = mask(status, "CapEff").is_some_and(|mask| mask >> SYS_PTRACE & 1 == 1);
    if !is_first {
        Some("sockets of processes outside of this PID namespace: run whydrop on the host")
    } else if !may_look {
        Some("sockets of processes that /proc does not show: run as root or with CAP_SYS_PTRACE")
    } else {
        None
    }
}

/// Adds the holders of these sockets; returns how many processes could not be looked at, at least.
fn scan_processes(proc: BorrowedFd<'_>, wanted: &HashSet<u32>, found: &mut Vec<Holder>) -> u32 {
    let mut unreadable = 0;
    // The descriptor of /proc is kept, so its position has to be set back for each scan.
    let begun = rustix::fs::seek(proc, rustix::fs::SeekFrom::Start(0));
    let walked = for_each_pid(proc, |proc, pid| {
        let is_wanted = |inode| wanted.contains(&inode);
        let is_readable = look_at(proc, pid, is_wanted, |_, _| {}, found);
        unreadable += u32::from(!is_readable);
    });
    // Those that the walk did not come to are not known to hold nothing.
    unreadable + u32::from(begun.is_err() || walked.is_err())
}

fn nobody() -> Arc<[Owner]> {
    Arc::new([])
}

fn holds(proc: BorrowedFd<'_>, link: &str, inode: u32) -> bool {
    let Ok(link) = std::ffi::CString::new(link) else {
        return false;
    };
    let mut to = [0u8; LINK_BYTES];
    let length = readlinkat_raw(proc, &link, &mut to).unwrap_or(0);
    to.get(..length).and_then(socket_of) == Some(inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreadable(proc: Option<OwnedFd>) -> u32 {
        let mut owners = Owners {
            proc,
            ..Owners::new()
        };
        owners.prime(&HashSet::from([7]));
        owners.unreadable()
    }

    #[test]
    fn a_proc_that_cannot_be_walked_does_not_say_that_nobody_holds_a_socket() {
        assert!(unreadable(None) > 0);
        // Entries of a folder are read; of a file there are none to be had.
        let file = rustix::fs::open(
            "/proc/self/status",
            rustix::fs::OFlags::RDONLY,
            rustix::fs::Mode::empty(),
        );
        assert!(unreadable(file.ok()) > 0);
    }
}
