//! What is deleted so that recordings do not fill the disk: closed parts, the oldest first.
//!
//! Of a recording that has a name of its own only what this run wrote is ever deleted. In a folder
//! parts of earlier runs of this host count too, or a service that is started again and again would
//! fill the disk.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use super::{
    Options, Turn,
    part::{is_closed, open_to_lock},
    place::Place,
};

/// A quarter of what may be kept is one part if nothing was said, and no more than 64 MiB.
const SHARE_OF_KEPT: u64 = 4;
const USUAL_PART_BYTES: u64 = 64 << 20;
/// What is deleted by age is at most an eighth older than it should be.
const SHARE_OF_AGE: u32 = 8;

/// When a part ends and how long it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// A part grows no larger.
    pub part_bytes: Option<u64>,
    /// Nor older.
    pub part_age: Option<Duration>,
    keep_bytes: Option<u64>,
    keep_age: Option<Duration>,
}

impl Limits {
    /// What is asked for, or why it cannot be.
    pub(super) fn of(options: &Options) -> Result<Self, String> {
        let keep_bytes = options.keep.map(|size| size.0);
        let usual = keep_bytes.map(|keep| (keep / SHARE_OF_KEPT).clamp(1, USUAL_PART_BYTES));
        let (rotate_bytes, rotate_age) = match options.rotate {
            Some(Turn::Size(size)) => (Some(size.0), None),
            Some(Turn::Age(age)) => (None, Some(age.0)),
            None => (None, None),
        };
        let part_bytes = rotate_bytes.or(usual);
        if let (Some(part), Some(keep)) = (part_bytes, keep_bytes)
            && keep < part
        {
            return Err(format!(
                "{keep} bytes are to be kept, and one part alone may have {part}; keep more, or \
                 rotate sooner"
            ));
        }
        let keep_age = options.keep_for.map(|age| age.0);
        Ok(Self {
            part_bytes,
            part_age: (keep_age.map(|age| age / SHARE_OF_AGE).into_iter())
                .chain(rotate_age)
                .min(),
            keep_bytes,
            keep_age,
        })
    }

    /// Whether a part that would be so long, and has begun then, is over.
    pub(super) fn are_reached(&self, len: u64, began: Instant) -> bool {
        let too_large = self.part_bytes.is_some_and(|limit| len > limit);
        too_large || self.part_age.is_some_and(|limit| began.elapsed() >= limit)
    }
}

/// A part that this run closed.
struct Closed {
    path: PathBuf,
    len: u64,
    since: Instant,
}

/// A file that may have to go.
struct Old {
    path: PathBuf,
    id: (u64, u64),
    len: u64,
    age: Duration,
}

/// Decides what goes.
pub(super) struct Keeper {
    limits: Limits,
    /// By device and inode.
    closed: HashMap<(u64, u64), Closed>,
}

impl Keeper {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            closed: HashMap::new(),
        }
    }

    /// This run has closed a part.
    pub(super) fn closed(&mut self, path: &Path, id: (u64, u64), len: u64) {
        let closed = Closed {
            path: path.to_owned(),
            len,
            since: Instant::now(),
        };
        self.closed.insert(id, closed);
    }

    /// Deletes what is too much or too old; how many parts that were. There is room for the open
    /// part to grow to its limit afterwards.
    pub(super) fn tidy(&mut self, place: &Place, open: Option<&Path>) -> io::Result<u64> {
        if self.limits.keep_bytes.is_none() && self.limits.keep_age.is_none() {
            return Ok(0);
        }
        let old = match place {
            Place::File { .. } => self.own(),
            Place::Folder { folder, .. } | Place::Beside { folder, .. } => {
                self.of_folder(place, folder, open)?
            }
        };
        let mut bytes: u64 = old.iter().map(|part| part.len).sum();
        let room = self.limits.part_bytes.unwrap_or(0);
        let (mut gone, mut failed) = (0, None);
        for part in old {
            let too_much = self
                .limits
                .keep_bytes
                .is_some_and(|keep| bytes + room > keep);
            let too_old = self.limits.keep_age.is_some_and(|keep| part.age > keep);
            if !too_much && !too_old {
                continue;
            }
            match self.delete(&part) {
                Ok(was_there) => {
                    bytes -= part.len;
                    gone += u64::from(was_there);
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(gone), Err)
    }

    /// What this run wrote, the oldest first.
    fn own(&self) -> Vec<Old> {
        let mut own: Vec<_> = self.closed.iter().collect();
        own.sort_by_key(|(_, closed)| closed.since);
        let old = own.into_iter().map(|(id, closed)| Old {
            path: closed.path.clone(),
            id: *id,
            len: closed.len,
            age: closed.since.elapsed(),
        });
        old.collect()
    }

    /// What this host wrote, the oldest first.
    fn of_folder(&self, place: &Place, folder: &Path, open: Option<&Path>) -> io::Result<Vec<Old>> {
        let mut old = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if !place.made(entry.file_name().as_bytes()) || open == Some(&path) {
                continue;
            }
            // It may be gone by now, and another recorder in this folder deletes too.
            let Ok(about) = fs::symlink_metadata(&path) else {
                continue;
            };
            if !about.is_file() {
                continue;
            }
            let id = (about.dev(), about.ino());
            // The clock of the wall may have been set since this run closed a part.
            let age = match self.closed.get(&id) {
                Some(closed) => closed.since.elapsed(),
                None => age(&about.modified()?),
            };
            old.push(Old {
                path,
                id,
                len: about.len(),
                age,
            });
        }
        // Names begin with their time.
        old.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(old)
    }

    /// Whether there was something to delete; what somebody writes stays.
    fn delete(&mut self, part: &Old) -> io::Result<bool> {
        let file = match open_to_lock(&part.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.closed.remove(&part.id);
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let about = file.metadata()?;
        let is_same = (about.dev(), about.ino()) == part.id;
        // Where there are no locks, only this run's own parts are known to be closed.
        let is_own = self.closed.contains_key(&part.id);
        if !is_same || !(is_closed(&file) || is_own) {
            return Ok(false);
        }
        fs::remove_file(&part.path)?;
        self.closed.remove(&part.id);
        Ok(true)
    }
}

/// How long ago that was; nothing if it is still to come.
fn age(then: &SystemTime) -> Duration {
    SystemTime::now()
        .duration_since(*then)
        .unwrap_or(Duration::ZERO)
}
