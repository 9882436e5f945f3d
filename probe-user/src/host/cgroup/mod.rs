//! Cgroups: from the id the kernel gives with a socket to a path for people, and to the unit or container it names.
//!
//! In: a cgroup v2 id (the inode number of its directory) or a process. Out: a path such as `/system.slice/x.service`.
//! It never creates, moves or limits anything, and never guesses: an id that is not in the tree is `None`.

mod membership;
mod root;
mod stall;

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, fstat};

use super::pace::Pace;
use super::procfs::{for_each_entry, open_dir, read_small};
use crate::model::cgroup::Cgroup;

pub use membership::path_of_process;
pub use root::{Origin, Root, root, root_fd};
pub use stall::stall;

/// Ids of ended cgroups are kept for events that come late; this many ids in all.
const KEPT: usize = 16 * 1024;
/// Kernfs numbers the nodes of a tree from 1, and the root is the first (seen on 6.18).
const ROOT_ID: u64 = 1;

/// Paths of cgroups by their numbers, asked for once.
#[derive(Debug)]
pub struct Cgroups {
    mount: Option<root::Cgroup2Mount>,
    known: HashMap<u64, Arc<Cgroup>>,
    pace: Pace,
}

impl Default for Cgroups {
    fn default() -> Cgroups {
        Cgroups::new()
    }
}

impl Cgroups {
    /// Finds where cgroup2 is mounted.
    pub fn new() -> Cgroups {
        let pace = Pace::new(Duration::from_millis(100), Duration::from_secs(2), 0);
        Cgroups {
            mount: root::mounted(),
            known: HashMap::new(),
            pace,
        }
    }

    /// Where cgroup2 is mounted; `None` on a host that has only v1 or none.
    pub fn mount_point(&self) -> Option<PathBuf> {
        self.mount.as_ref().map(|mount| mount.point.clone())
    }

    /// The cgroup v2 of an id as the mount shows it; `None` when it is outside, ended before it was asked for, or is 0.
    pub fn find(&mut self, id: u64) -> Option<Arc<Cgroup>> {
        if let Some(found) = self.known.get(&id) {
            return Some(Arc::clone(found));
        }
        if id == ROOT_ID {
            return Some(Arc::new(Cgroup::of("/".into())));
        }
        let now = Instant::now();
        if id != 0 && self.pace.due(now) {
            self.walk();
            self.pace.ran(now, Instant::now());
        }
        self.known.get(&id).cloned()
    }

    /// A process's cgroup: of v2 where it is used, else of systemd's v1 tree.
    pub fn of_process(&self, pid: u32) -> Option<Arc<Cgroup>> {
        let mut text = Vec::with_capacity(512);
        read_small(CWD, format!("/proc/{pid}/cgroup"), &mut text).ok()?;
        path_of_process(&text).map(|path| Arc::new(Cgroup::of(path)))
    }

    /// Reads the whole tree. `getdents` tells the inode numbers, so this costs two or three calls a cgroup and no `stat`.
    fn walk(&mut self) {
        let Some(mount) = &self.mount else { return };
        let Some(top) = mount.open() else { return };
        if self.known.len() > KEPT {
            self.known.clear();
        }
        let prefix = mount.prefix();
        if let Ok(found) = fstat(&top) {
            let path = if prefix.is_empty() {
                "/".into()
            } else {
                prefix.clone()
            };
            self.known.insert(found.st_ino, Arc::new(Cgroup::of(path)));
        }
        let mut left = vec![String::new()];
        while let Some(relative) = left.pop() {
            let directory = if relative.is_empty() {
                Ok(None)
            } else {
                open_dir(&top, &relative[1..]).map(Some)
            };
            let Ok(directory) = directory else { continue };
            let directory = directory.as_ref().unwrap_or(&top).as_fd();
            let _ = for_each_entry(directory, |name, id, kind| {
                if kind == FileType::Directory {
                    let path = format!("{relative}/{}", name.to_string_lossy());
                    let cgroup = Cgroup::of(format!("{prefix}{path}"));
                    self.known.insert(id, Arc::new(cgroup));
                    left.push(path);
                }
            });
        }
    }
}
