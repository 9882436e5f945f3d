//! One file of a recording: it is made, grows by whole frames and is closed.

use std::{
    fs::File,
    io::{self, Write},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    time::Instant,
};

use rustix::{
    fs::{Advice, FlockOperation, Mode, OFlags, fadvise, flock, ftruncate},
    io::Errno,
};

use super::error::RecordError;

/// The kernel is asked to write back what it has when this many bytes more are there, so that
/// little is left to wait for when the part is closed.
const WRITE_BACK_BYTES: u64 = 1 << 20;

/// A part that is being written.
pub(super) struct Part {
    file: File,
    pub path: PathBuf,
    pub number: u32,
    /// Device and inode.
    pub id: (u64, u64),
    /// Of whole frames.
    pub len: u64,
    pub frames: u64,
    pub opened: Instant,
    written_back: u64,
}

impl Part {
    /// Makes the file, which must not be there, and holds its lock.
    pub(super) fn create(path: &Path, number: u32) -> Result<Self, RecordError> {
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC
            | OFlags::NOCTTY;
        let failed = |error: Errno| RecordError::Create {
            path: path.to_owned(),
            error: error.into(),
        };
        let file = match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => File::from(file),
            Err(Errno::EXIST) => return Err(taken(path)),
            Err(error) => return Err(failed(error)),
        };
        // A reader, or whoever deletes old parts, may have a look just now and is gone at once.
        match flock(&file, FlockOperation::LockExclusive) {
            // Some file systems have no locks; that the name was free is enough.
            Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::INVAL | Errno::NOSYS) => {}
            Err(error) => return Err(failed(error)),
        }
        let about = file.metadata().map_err(|error| RecordError::Create {
            path: path.to_owned(),
            error,
        })?;
        // Whoever deletes old parts may have had the lock first.
        if about.nlink() == 0 {
            return Err(held(path));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            number,
            id: (about.dev(), about.ino()),
            len: 0,
            frames: 0,
            opened: Instant::now(),
            written_back: 0,
        })
    }

    /// Adds a frame. If it fails, the file ends where it did, unless the kernel refuses that too:
    /// then it ends in a torn frame, and nothing may be added any more.
    pub(super) fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(frame) {
            // What stays is a torn frame at the end, which readers leave out.
            let _ = ftruncate(&self.file, self.len);
            return Err(error);
        }
        self.len += frame.len() as u64;
        self.frames += 1;
        if self.len - self.written_back >= WRITE_BACK_BYTES {
            self.written_back = self.len;
            // mm/fadvise.c:generic_fadvise begins write-back and waits for nothing; it is a
            // hint, so its failure means nothing.
            let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
        }
        Ok(())
    }

    /// Waits until the disk has it.
    ///
    /// Only here: a process that is killed loses nothing of what the kernel took, so waiting for
    /// each frame would only help when the machine dies, and cost a seek of the disk a second.
    pub(super) fn close(self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Takes back a part that holds nothing.
    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// Why a name is not free.
fn taken(path: &Path) -> RecordError {
    let path = path.to_owned();
    match std::fs::symlink_metadata(&path) {
        Ok(about) if about.file_type().is_symlink() => return RecordError::Link { path },
        Ok(about) if about.is_file() && is_held(&path) => return held(&path),
        _ => {}
    }
    RecordError::Exists { path }
}

fn held(path: &Path) -> RecordError {
    RecordError::Held {
        path: path.to_owned(),
    }
}

fn is_held(path: &Path) -> bool {
    open_to_lock(path).is_ok_and(|file| {
        flock(file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
    })
}

/// A regular file of this name, opened so that nothing else can do harm by being there.
pub(super) fn open_to_lock(path: &Path) -> io::Result<File> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(file)
}

/// Whether nobody writes this file; if so, nobody can begin to while the answer is kept.
pub(super) fn is_closed(file: impl AsFd) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}
