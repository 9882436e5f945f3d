//! What is wrong with a recording, as sentences.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Why something named on the command line is not read at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened or read.
    #[error("{path} cannot be read: {error}", path = path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error(
        "{path} is {what}, and a recording is a file or a folder of them; `-` reads from a pipe",
        path = path.display()
    )]
    /// It is no file.
    NoFile { path: PathBuf, what: &'static str },
    /// The folder has no recording.
    #[error("there is no `*.whydrop` in {path}", path = path.display())]
    Nothing { path: PathBuf },
}

/// How a part ends that does not end as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// In the midst of a frame or of a line: a writer was cut off.
    Torn,
    /// Nothing was written at all.
    Empty,
    /// With something that does not belong there.
    Damaged,
    /// It is no recording from its first byte on.
    Foreign,
    /// The file could not be read.
    Unreadable,
}

/// Why a part is read no further. What stands before was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// Byte in the file from which on nothing was used.
    pub offset: u64,
    /// What there is, from the offset on.
    pub what: String,
    /// Where; unknown to whoever reads only the bytes.
    pub path: PathBuf,
    /// The part that it is of.
    pub part: Option<u32>,
}

impl Problem {
    pub(super) fn new(kind: ProblemKind, offset: u64, what: impl Into<String>) -> Self {
        Self {
            kind,
            offset,
            what: what.into(),
            path: PathBuf::new(),
            part: None,
        }
    }

    pub(super) fn at(mut self, path: &Path, part: Option<u32>) -> Self {
        path.clone_into(&mut self.path);
        self.part = part;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of files are anybody's.
        let name = self.path.to_string_lossy();
        for c in name.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        if let Some(part) = self.part {
            write!(f, ", part {part}")?;
        }
        write!(f, ": {}", self.what)?;
        if self.offset > 0 {
            f.write_str("; what stands before is used")?;
        }
        Ok(())
    }
}
