//! Why there is no recording, as sentences.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(
        "{path} exists, and a recording neither writes over a file nor appends to one; name \
         another file, or a folder, in which each start makes a file of its own",
        path = path.display()
    )]
    Exists { path: PathBuf },
    #[error("{path} is being written by another recorder", path = path.display())]
    Held { path: PathBuf },
    #[error(
        "{path} is a symbolic link, which a recording does not follow; name the file itself",
        path = path.display()
    )]
    Link { path: PathBuf },
    #[error("{0}")]
    Usage(String),
    #[error("{path} cannot be made: {error}", path = path.display())]
    Create { path: PathBuf, error: io::Error },
    #[error("{path} cannot be written: {error}", path = path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error("there is no thread to record on: {0}")]
    Thread(io::Error),
    #[error("the recording cannot be numbered: no random bytes: {0}")]
    Random(io::Error),
    #[error("zstd cannot be set up: {0}")]
    Zstd(io::Error),
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
