//! Why a command ends early, and the status that it ends with.

use std::{fmt, io};

use crate::{
    host::threads::NoThread,
    loader::LoadError,
    model::{Ended, status},
    selftest::SelfTestError,
    sink::{OutputError, record::RecordError},
    source::{child::NotRun, replay::Unanswered},
};

/// What a shell ends with when a command is not there, and when it cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Why a command ended early: one sentence and an exit status.
#[derive(Debug)]
pub struct Failure {
    /// The exit status.
    pub status: u8,
    /// What is said on standard error.
    pub message: String,
}

impl Failure {
    /// With a status and a sentence.
    pub fn new(status: u8, message: impl fmt::Display) -> Self {
        Self {
            status,
            message: message.to_string(),
        }
    }

    /// The reader of the output went away: it has seen what it wanted, and nobody is there to be told more. Status 0.
    pub fn reader_gone() -> Self {
        Self::new(status::OK, "")
    }

    /// Whether the reader of the output went away.
    pub fn is_reader_gone(&self) -> bool {
        self.status == status::OK
    }

    /// Something is wrong with the arguments: status 2.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(status::USAGE, message)
    }

    /// It could not be done: status 1.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::new(status::FAILED, message)
    }
}

impl From<NoThread> for Failure {
    fn from(error: NoThread) -> Self {
        Self::failed(error)
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        match &error {
            OutputError::Create { .. }
            | OutputError::Unread(_)
            | OutputError::Link(_)
            | OutputError::Usage(_) => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        let status = if error.is_usage() {
            status::USAGE
        } else {
            status::FAILED
        };
        Self::new(status, error)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let status = match &error {
            LoadError::Privilege(_) | LoadError::NotPermitted(_) => status::PRIVILEGE,
            LoadError::Unread(_) | LoadError::Limit(_) => status::FAILED,
            LoadError::Btf(_) | LoadError::Unsupported { .. } | LoadError::Object(_) => {
                status::KERNEL
            }
        };
        Self::new(status, error)
    }
}

impl From<SelfTestError> for Failure {
    fn from(error: SelfTestError) -> Self {
        let status = match &error {
            SelfTestError::Differs(_) => status::KERNEL,
            SelfTestError::Read(_) | SelfTestError::Failed { .. } => status::FAILED,
        };
        Self::new(status, error)
    }
}

impl From<NotRun> for Failure {
    fn from(error: NotRun) -> Self {
        let status = match &error {
            NotRun::Unnamed => status::USAGE,
            NotRun::Refused { error, .. } if error.kind() == io::ErrorKind::NotFound => NOT_FOUND,
            NotRun::Refused { .. } => NOT_EXECUTABLE,
            NotRun::Ended(signal) => Ended::Signal(*signal).status(),
            NotRun::Signals(_) | NotRun::Never | NotRun::Lost(_) => status::FAILED,
        };
        Self::new(status, error)
    }
}

impl From<Unanswered> for Failure {
    fn from(error: Unanswered) -> Self {
        match error {
            Unanswered::Unread(_) => Self::usage(error),
            Unanswered::NoStart | Unanswered::Open => Self::failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_a_shell() {
        assert_eq!(Ended::Code(3).status(), 3);
        assert_eq!(Ended::Signal(libc::SIGTERM).status(), 143);
        let status = |error| Failure::from(error).status;
        let refused = |kind: io::ErrorKind| NotRun::Refused {
            program: "a".into(),
            error: kind.into(),
        };
        assert_eq!(status(refused(io::ErrorKind::NotFound)), 127);
        assert_eq!(status(refused(io::ErrorKind::PermissionDenied)), 126);
        assert_eq!(status(NotRun::Ended(libc::SIGINT)), 130);
    }
}
