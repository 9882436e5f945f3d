//! Why there is no command to wait for.

use std::io;

use thiserror::Error;

/// A command that was not started, or whose end nobody knows.
#[derive(Debug, Error)]
pub enum NotRun {
    /// No program was named.
    #[error("no command; name it after `--`")]
    Unnamed,
    /// Signals could not be caught.
    #[error("cannot catch signals: {0}")]
    Signals(io::Error),
    /// The program could not be started.
    #[error("cannot start `{program}`: {error}; name a program in PATH, or its path, after `--`")]
    Refused { program: String, error: io::Error },
    /// A signal came before it was started.
    #[error("ended by signal {0} before the command was started")]
    Ended(i32),
    /// It was never started.
    #[error("the command was not started")]
    Never,
    /// It could not be waited for.
    #[error("cannot wait for the command: {0}")]
    Lost(io::Error),
}
