//! When a file of lines is moved aside for a new one of its name, and which of those that were are deleted: by the rules of a
//! recording's parts.

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use super::{
    Kept,
    keep::{Keeper, Limits},
    place::Place,
};

/// How many names are tried.
const NAMES: u32 = 1000;

/// Between two tries to move a file.
const RETRY: Duration = Duration::from_secs(1);

pub struct Turns {
    limits: Limits,
    keeper: Keeper,
    place: Place,
    /// Files that were moved aside.
    number: u32,
    began: Instant,
    failed: Option<Instant>,
}

impl Turns {
    /// `None` where nothing is asked for; an error is a sentence about the arguments.
    pub fn of(path: &Path, kept: &Kept) -> Result<Option<Self>, String> {
        if !kept.is_asked() {
            return Ok(None);
        }
        let limits = Limits::of(&kept.options())?;
        let place =
            Place::beside(path).ok_or_else(|| format!("{} names no file", path.display()))?;
        Ok(Some(Self {
            limits,
            keeper: Keeper::new(limits),
            place,
            number: 0,
            began: Instant::now(),
            failed: None,
        }))
    }

    /// Another file begins.
    pub fn begin(&mut self) {
        self.began = Instant::now();
        self.failed = None;
    }

    /// Whether so many bytes more belong to another file than one of this length.
    pub fn is_due(&self, len: u64, more: u64) -> bool {
        let is_again = self.failed.is_some_and(|at| at.elapsed() < RETRY);
        len > 0 && !is_again && self.limits.are_reached(len + more, self.began)
    }

    /// Gives a file another name, or says why not.
    pub fn move_aside(&mut self, path: &Path, id: (u64, u64), len: u64) -> Result<(), String> {
        let number = self.number + 1;
        let names = (1..=NAMES).map(|again| self.place.part(number, again));
        for aside in names {
            match rename(path, &aside) {
                Ok(()) => {
                    self.number = number;
                    self.keeper.closed(&aside, id, len);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    self.failed = Some(Instant::now());
                    return Err(format!(
                        "{} cannot be rotated: {error}; it grows on",
                        path.display()
                    ));
                }
            }
        }
        self.failed = Some(Instant::now());
        Err(format!(
            "{} cannot be rotated: names are taken",
            path.display()
        ))
    }

    /// Deletes what is too much or too old; a sentence if that fails.
    pub fn tidy(&mut self) -> Option<String> {
        let tidied = self.keeper.tidy(&self.place, None);
        tidied.err().map(|error| {
            format!(
                "old files in {} cannot be deleted: {error}",
                self.place.folder().display()
            )
        })
    }
}

/// Only to a name that is free.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            // This file system knows no such rename.
            if fs::symlink_metadata(to).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        renamed => Ok(renamed?),
    }
}
