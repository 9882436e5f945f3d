//! Which files make up what was named: the parts of a recording, in order.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, FileType},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use serde::Deserialize;

use crate::model::format::{END, PartName};

use super::{
    lines::{Lines, Step},
    problem::ReadError,
};

/// What the first line of a part says of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartId {
    /// The same in all parts of a recording.
    pub recording: String,
    /// From 1 on.
    pub part: u32,
}

/// What a line says of its part if it is like `{…,"recording":{"id":"…","part":1,…},…}`.
pub fn identify(line: &[u8]) -> Option<PartId> {
    #[derive(Deserialize)]
    struct Start {
        recording: Recording,
    }
    #[derive(Deserialize)]
    struct Recording {
        id: String,
        part: u32,
    }
    let Start { recording } = serde_json::from_slice(line).ok()?;
    Some(PartId {
        recording: recording.id,
        part: recording.part,
    })
}

/// A part that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub path: PathBuf,
    pub id: Option<PartId>,
    file: Option<(u64, u64)>,
}

/// Standard input, by name.
pub(super) const STDIN: &str = "-";

/// The parts of everything that was named, each once.
pub(super) fn find(
    paths: &[PathBuf],
    identify: fn(&[u8]) -> Option<PartId>,
) -> Result<Vec<Found>, ReadError> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(find_one(path, identify)?);
    }
    let mut known = HashSet::new();
    all.retain(|found| known.insert(found.file));
    Ok(all)
}

fn find_one(path: &Path, identify: fn(&[u8]) -> Option<PartId>) -> Result<Vec<Found>, ReadError> {
    if path.as_os_str() == STDIN {
        return Ok(vec![Found {
            path: path.to_owned(),
            id: None,
            file: None,
        }]);
    }
    let failed = |error| ReadError::Io {
        path: path.to_owned(),
        error,
    };
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // The first parts may have been deleted, since only so much is kept.
            let left = left_of(path, identify).unwrap_or_default();
            return if left.is_empty() {
                Err(failed(error))
            } else {
                Ok(left)
            };
        }
        Err(error) => return Err(failed(error)),
    };
    if about.is_dir() {
        let found = in_folder(path, identify, |name| name.ends_with(END.as_bytes()));
        return match found.map_err(failed)? {
            none if none.is_empty() => Err(ReadError::Nothing {
                path: path.to_owned(),
            }),
            found => Ok(found),
        };
    }
    if !about.is_file() {
        return Err(ReadError::NoFile {
            path: path.to_owned(),
            what: kind(about.file_type()),
        });
    }
    let file = open(path).map_err(failed)?;
    let first = Found {
        id: first_line(&file, identify),
        file: Some((about.dev(), about.ino())),
        path: path.to_owned(),
    };
    // The file that was named is read whatever stands beside it.
    let after = after(&first, identify).unwrap_or_default();
    Ok([first].into_iter().chain(after).collect())
}

fn kind(of: FileType) -> &'static str {
    if of.is_fifo() {
        "a named pipe"
    } else if of.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// Parts of the same recording that come after a file, in the same folder.
fn after(first: &Found, identify: fn(&[u8]) -> Option<PartId>) -> io::Result<Vec<Found>> {
    let Some(id) = &first.id else {
        return Ok(Vec::new());
    };
    let mut found = series(&first.path, identify)?;
    found.retain(|found| {
        let other = found.id.as_ref();
        other.is_some_and(|other| other.recording == id.recording && other.part > id.part)
    });
    Ok(found)
}

/// What is left of a recording whose first part is gone: that whose parts stand there, if it is
/// one alone.
fn left_of(path: &Path, identify: fn(&[u8]) -> Option<PartId>) -> io::Result<Vec<Found>> {
    let found = series(path, identify)?;
    let ids: Option<HashSet<&str>> = found
        .iter()
        .map(|found| found.id.as_ref().map(|id| id.recording.as_str()))
        .collect();
    let is_one = ids.is_some_and(|ids| ids.len() == 1);
    Ok(if is_one { found } else { Vec::new() })
}

/// All files beside this one whose name differs in time and number alone.
fn series(path: &Path, identify: fn(&[u8]) -> Option<PartId>) -> io::Result<Vec<Found>> {
    let Some(name) = path.file_name() else {
        return Ok(Vec::new());
    };
    let this = PartName::of(name.as_bytes());
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    in_folder(folder, identify, |other| {
        let other = PartName::of(other);
        (other.series, other.end) == (this.series, this.end)
    })
}

/// Files of a folder, those of a recording together and in order of their part, and recordings in
/// order of their first name, which has the time in it.
fn in_folder(
    folder: &Path,
    identify: fn(&[u8]) -> Option<PartId>,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !is_wanted(entry.file_name().as_bytes()) {
            continue;
        }
        let path = entry.path();
        // It may be gone by now, as old parts are deleted; what is there and cannot be opened is
        // said when it is its turn.
        let Ok(about) = fs::metadata(&path) else {
            continue;
        };
        if !about.is_file() {
            continue;
        }
        found.push(Found {
            id: open(&path)
                .ok()
                .and_then(|file| first_line(&file, identify)),
            file: Some((about.dev(), about.ino())),
            path,
        });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let mut first = HashMap::new();
    for (at, found) in found.iter().enumerate() {
        if let Some(id) = &found.id {
            first.entry(id.recording.clone()).or_insert(at);
        }
    }
    let mut order: Vec<_> = found.into_iter().enumerate().collect();
    order.sort_by_key(|(at, found)| match &found.id {
        Some(id) => (first.get(&id.recording).copied().unwrap_or(*at), id.part),
        None => (*at, 0),
    });
    Ok(order.into_iter().map(|(_, found)| found).collect())
}

fn first_line(file: &File, identify: fn(&[u8]) -> Option<PartId>) -> Option<PartId> {
    let mut lines = Lines::new(file);
    match lines.advance() {
        Step::Line => identify(lines.line()),
        Step::Problem(_) | Step::End => None,
    }
}

/// Opens a regular file, and nothing that would wait for somebody.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other(format!(
            "it is {}",
            kind(about.file_type())
        )));
    }
    Ok(file)
}

/// Whether a recorder has this file open.
pub(super) fn is_held(file: &File) -> bool {
    let result = flock(file, FlockOperation::NonBlockingLockShared);
    if result.is_ok() {
        // A failure leaves the lock until the file is closed, and a recorder never waits for it.
        let _ = flock(file, FlockOperation::Unlock);
    }
    result == Err(rustix::io::Errno::WOULDBLOCK)
}
