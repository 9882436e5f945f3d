//! One search of /proc for all that is held open: sockets that are asked for, and network namespaces that only an open file or
//! a thread leads to. At start, when both are wanted and nobody may wait for long, on every processor.
//!
//! In: inode numbers. Out: who holds those sockets, by ascending pid, and ways into namespaces. It remembers nothing.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::thread;

use super::holder::{Holder, look_at};
use super::netns::{held_at, of_threads};
use super::procfs::{for_each_pid, open_proc};

/// However many processors a host has, a start takes no more of them.
const THREADS_AT_MOST: usize = 4;

/// Who holds which socket.
#[derive(Debug, Default)]
pub struct OpenFiles {
    pub(super) sockets: Vec<Holder>,
    /// Numbers of namespaces, and paths that lead into them.
    pub(super) namespaces: Vec<(u32, PathBuf)>,
    /// Processes that live and refuse to be looked at; at least one where not all of /proc could be walked.
    pub(super) unreadable: u32,
}

impl OpenFiles {
    /// Searches /proc for holders of these sockets, by inode.
    pub fn search(sockets: &HashSet<u32>) -> Self {
        let Ok(proc) = open_proc() else {
            return Self {
                unreadable: 1,
                ..Self::default()
            };
        };
        let mut pids = Vec::new();
        let walked = for_each_pid(&proc, |_, pid| pids.push(pid));
        let threads = thread::available_parallelism().map_or(1, |n| n.get().min(THREADS_AT_MOST));
        let part = |nth: usize| {
            let mut found = Self::default();
            for pid in pids.iter().skip(nth).step_by(threads) {
                found.look_at(proc.as_fd(), *pid, sockets);
            }
            found
        };
        let mut all = thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|nth| {
                    let other = thread::Builder::new().spawn_scoped(scope, move || part(nth));
                    (nth, other)
                })
                .collect();
            let mut all = part(0);
            for (nth, other) in others {
                let found = match other {
                    Ok(other) => other
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                    // Without a thread its part is looked at here.
                    Err(_) => part(nth),
                };
                all.sockets.extend(found.sockets);
                all.namespaces.extend(found.namespaces);
                all.unreadable += found.unreadable;
            }
            all
        });
        // Those that the walk did not come to are not known to hold nothing.
        all.unreadable += u32::from(walked.is_err());
        all.sockets.sort_by_key(|(_, owner, _)| owner.pid);
        all
    }

    fn look_at(&mut self, proc: impl AsFd, pid: u32, sockets: &HashSet<u32>) {
        let proc = proc.as_fd();
        let namespaces = &mut self.namespaces;
        let is_readable = look_at(
            proc,
            pid,
            |inode| sockets.contains(&inode),
            |name, link| namespaces.extend(held_at(pid, name, link)),
            &mut self.sockets,
        );
        self.unreadable += u32::from(!is_readable);
        of_threads(proc, pid, |inum, path| namespaces.push((inum, path)));
    }
}
