//! The network namespaces of this host and the ways into them.
//!
//! In: scans of /proc and of the directories where namespaces have names. Out: for a number, a descriptor that was
//! checked to be that namespace. It never holds a descriptor itself, so a namespace ends when its users end.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::CWD;
use rustix::io::Errno;

use super::error::{KnownNames, NetnsError};
use super::{
    inum_of_pid,
    opening::{open_checked, resolve_path},
    scan,
};
use crate::host::open_files::OpenFiles;
use crate::host::pace::Pace;
use crate::host::procfs::read_small;
use crate::{host::holder::comm_text, model::netns_name::NetnsName};

/// More processes than this lead to the same place without making it safer.
const PIDS_KEPT: usize = 4;

#[derive(Debug, Default)]
struct Ways {
    pids: Vec<u32>,
    paths: Vec<PathBuf>,
    name: Option<String>,
}

impl Ways {
    fn lead_to(&self, inum: u32) -> bool {
        let mut pids = self.pids.iter();
        let mut paths = self.paths.iter();
        pids.any(|pid| inum_of_pid(*pid).is_ok_and(|found| found == inum))
            || paths.any(|path| scan::inum_of_path(path) == Some(inum))
    }
}

/// The network namespaces of this host, and a way into each.
#[derive(Debug)]
pub struct Registry {
    known: HashMap<u32, Ways>,
    looks: u64,
    /// Why the last look at all processes failed, if it did.
    blind: Option<io::Error>,
    /// Namespaces that only an open file or a thread of some process leads to.
    held: HashMap<u32, PathBuf>,
    pace: Pace,
    last_resort: Pace,
    /// Numbers that a whole search did not find, so that a burst of events from a dead namespace costs one search.
    absent: HashSet<u32>,
    absent_since: Option<Instant>,
}

impl Default for Registry {
    fn default() -> Registry {
        Registry::new()
    }
}

impl Registry {
    /// Knows nothing yet; the first question or [`Registry::refresh`] fills it.
    pub fn new() -> Registry {
        Registry {
            known: HashMap::new(),
            looks: 0,
            blind: None,
            held: HashMap::new(),
            pace: Pace::new(Duration::from_millis(50), Duration::from_millis(500), 0),
            last_resort: Pace::new(Duration::from_millis(200), Duration::from_secs(5), 0),
            absent: HashSet::new(),
            absent_since: None,
        }
    }

    /// Looks at all processes and names again. Costs a `stat` per process. Where processes cannot be looked at, what was known
    /// before stays, and [`Registry::blind`] says why.
    pub fn refresh(&mut self) {
        let start = Instant::now();
        self.looks += 1;
        let mut known: HashMap<u32, Ways> = HashMap::new();
        let looked = scan::processes(|inum, pid| {
            let ways = known.entry(inum).or_default();
            if ways.pids.len() < PIDS_KEPT {
                ways.pids.push(pid);
            }
        });
        self.blind = looked.err();
        if self.blind.is_none() {
            self.known = known;
        }
        scan::files(|inum, path, named| {
            let ways = self.known.entry(inum).or_default();
            if named && ways.name.is_none() {
                ways.name = path
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned());
            }
            if !ways.paths.contains(&path) {
                ways.paths.push(path);
            }
        });
        scan::own_files(|inum, path| {
            self.held.insert(inum, path);
        });
        self.held
            .retain(|inum, path| scan::inum_of_path(&*path) == Some(*inum));
        for (inum, path) in &self.held {
            self.known
                .entry(*inum)
                .or_default()
                .paths
                .push(path.clone());
        }
        self.pace.ran(start, Instant::now());
    }

    /// As [`Registry::refresh`], and looks at every thread and every open file too, once: afterwards a namespace that
    /// turns up is one that was made since. Costs as much as a look for all sockets' owners.
    pub fn refresh_thoroughly(&mut self) {
        scan::all_files_and_threads(|found, path| self.remember_held(found, path));
        self.refresh();
    }

    /// Takes the ways that a search of everything has found, as [`Registry::refresh_thoroughly`] does.
    pub fn meet(&mut self, found: &mut OpenFiles) {
        for (inum, path) in found.namespaces.drain(..) {
            self.remember_held(inum, path);
        }
    }

    /// A descriptor of namespace `inum`. Drop it soon: it keeps the namespace alive.
    pub fn open(&mut self, inum: u32) -> Result<OwnedFd, NetnsError> {
        if let Some(found) = self.try_ways(inum)? {
            return Ok(found);
        }
        let now = Instant::now();
        if self
            .absent_since
            .is_some_and(|since| now.duration_since(since) > Duration::from_secs(1))
        {
            self.absent.clear();
            self.absent_since = None;
        }
        if self.absent.contains(&inum) {
            return Err(NetnsError::NoWay { inum });
        }
        let mut looked = false;
        if self.pace.due(now) {
            self.refresh();
            looked = true;
        } else {
            scan::own_files(|found, path| self.remember_held(found, path));
        }
        if let Some(found) = self.try_ways(inum)? {
            return Ok(found);
        }
        if !looked || !self.last_resort.due(now) {
            return Err(NetnsError::NotYet { inum });
        }
        let start = Instant::now();
        scan::all_files_and_threads(|found, path| self.remember_held(found, path));
        self.last_resort.ran(start, Instant::now());
        if let Some(found) = self.try_ways(inum)? {
            return Ok(found);
        }
        self.absent.insert(inum);
        self.absent_since.get_or_insert(now);
        Err(NetnsError::NoWay { inum })
    }

    /// The namespaces known at the last look.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.known.keys().copied()
    }

    /// Why the last look at all processes failed: then namespaces may be missing.
    pub fn blind(&self) -> Option<&io::Error> {
        self.blind.as_ref()
    }

    /// How often it has looked at all processes.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Whether it was there at the last look.
    pub fn knows(&self, inum: u32) -> bool {
        self.known.contains_key(&inum)
    }

    /// Whether a namespace of the last look may have ended since: none of the ways into it leads there any more. Costs a `stat` for
    /// each that has not.
    pub fn may_have_lost_one(&self) -> bool {
        let mut known = self.known.iter();
        known.any(|(inum, ways)| !ways.lead_to(*inum))
    }

    /// The name `ip netns` shows, where there is one.
    pub fn name(&self, inum: u32) -> Option<&str> {
        self.known.get(&inum)?.name.as_deref()
    }

    /// The name `ip netns` shows, or else the first process seen there at the last look that still is there.
    pub fn called(&self, inum: u32) -> Option<NetnsName> {
        if let Some(name) = self.name(inum) {
            return Some(NetnsName::Given(name.to_owned()));
        }
        let pids = self.pids(inum).iter().copied();
        let mut left = pids.filter(|pid| inum_of_pid(*pid).is_ok_and(|found| found == inum));
        let pid = left.next()?;
        let mut comm = Vec::with_capacity(64);
        read_small(CWD, format!("/proc/{pid}/comm"), &mut comm).ok()?;
        Some(NetnsName::Process {
            pid,
            comm: comm_text(&comm),
        })
    }

    /// Processes seen in the namespace at the last look, a few at most; they may have ended since.
    pub fn pids(&self, inum: u32) -> &[u32] {
        self.known.get(&inum).map_or(&[], |ways| &ways.pids)
    }

    /// The namespace a user means with `--netns`: a path, a process number, or a name of `ip netns`.
    pub fn resolve(&mut self, spec: &str) -> Result<u32, NetnsError> {
        if spec.starts_with('/') {
            return resolve_path(Path::new(spec));
        }
        let pid = spec.parse::<u32>().ok();
        if let Some(pid) = pid {
            match inum_of_pid(pid) {
                Ok(inum) => return Ok(inum),
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(NetnsError::Process { pid, source });
                }
                Err(_) => {}
            }
        }
        if !spec.is_empty()
            && !spec.contains('/')
            && let Some(inum) = scan::inum_of_path(Path::new(scan::NAMES_DIR).join(spec))
        {
            return Ok(inum);
        }
        self.refresh();
        // Numbers of namespaces are beyond those that processes can have.
        if let Some(inum) = pid.filter(|inum| self.known.contains_key(inum)) {
            return Ok(inum);
        }
        let mut names: Vec<String> = self
            .known
            .values()
            .filter_map(|ways| ways.name.clone())
            .collect();
        names.sort();
        let known = KnownNames(names);
        Err(match pid {
            Some(pid) => NetnsError::UnknownPid { pid, known },
            None => NetnsError::UnknownName {
                spec: spec.to_owned(),
                known,
            },
        })
    }

    fn remember_held(&mut self, inum: u32, path: PathBuf) {
        let ways = self.known.entry(inum).or_default();
        if ways.paths.len() < PIDS_KEPT && !ways.paths.contains(&path) {
            ways.paths.push(path.clone());
        }
        self.held.insert(inum, path);
    }

    /// Opens the first known way that still leads to `inum`. A refusal counts only when no way is left.
    fn try_ways(&self, inum: u32) -> Result<Option<OwnedFd>, NetnsError> {
        let Some(ways) = self.known.get(&inum) else {
            return Ok(None);
        };
        let of_pids = ways
            .pids
            .iter()
            .map(|pid| PathBuf::from(format!("/proc/{pid}/ns/net")));
        let mut denied = None;
        for path in of_pids.chain(ways.paths.iter().cloned()) {
            match open_checked(&path, inum) {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(errno) => denied = Some(errno),
            }
        }
        match denied {
            Some(errno @ (Errno::ACCESS | Errno::PERM)) => Err(NetnsError::Denied {
                inum,
                source: errno.into(),
            }),
            Some(errno) => Err(NetnsError::Open {
                inum,
                source: errno.into(),
            }),
            None => Ok(None),
        }
    }
}
