//! Why there is no command to wait for.

use std::io;

use thiserror::Error;

/// A command that was not started, or whose end nobody knows.
#[derive(Debug, Error)]
pub enum NotRun {
    #[error("no command; name it after `--`")]
    Unnamed,
    #[error("cannot catch signals: {0}")]
    Signals(io::Error),
    #[error("cannot start `{program}`: {error}; name a program in PATH, or its path, after `--`")]
    Refused { program: String, error: io::Error },
    #[error("ended by signal {0} before the command was started")]
    Ended(i32),
    #[error("the command was not started")]
    Never,
    #[error("cannot wait for the command: {0}")]
    Lost(io::Error),
}
