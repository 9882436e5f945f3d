//! Why there is no recording, as sentences.

use std::{io, path::PathBuf};

/// Why a recording cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(
        "{path} exists, and a recording neither overwrites a file nor appends to one; name \
         another file, or a folder, in which each start makes a file of its own",
        path = path.display()
    )]
    /// The file is there already.
    Exists { path: PathBuf },
    /// Another recorder has it.
    #[error("{path} is being written by another recorder", path = path.display())]
    Held { path: PathBuf },
    #[error(
        "{path} is a symbolic link, which a recording does not follow; name the file itself",
        path = path.display()
    )]
    /// It is a symbolic link.
    Link { path: PathBuf },
    /// The options do not fit each other.
    #[error("{0}")]
    Usage(String),
    /// The file cannot be made.
    #[error("{path} cannot be made: {error}", path = path.display())]
    Create { path: PathBuf, error: io::Error },
    /// It cannot be written to.
    #[error("{path} cannot be written: {error}", path = path.display())]
    Write { path: PathBuf, error: io::Error },
    /// The recorder's thread could not be started.
    #[error("there is no thread to record on: {0}")]
    Thread(io::Error),
    /// The kernel gave no random bytes.
    #[error("the recording cannot be numbered: no random bytes: {0}")]
    Random(io::Error),
    /// The compressor could not be made.
    #[error("zstd cannot be set up: {0}")]
    Zstd(io::Error),
    /// The recorder's thread is gone.
    #[error("the thread that records ended before it began")]
    Gone,
}

impl RecordError {
    /// Whether another command line would do.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Exists { .. } | Self::Held { .. } | Self::Link { .. } | Self::Usage(_)
        )
    }
}
