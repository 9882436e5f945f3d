//! Why a command ends early, and the status that it ends with.

use std::fmt;

use crate::{
    host::threads::NoThread,
    loader::LoadError,
    selftest::SelfTestError,
    sink::{OutputError, record::RecordError},
};

/// Exit statuses, as `--help` lists them.
pub mod status {
    pub const OK: u8 = 0;
    /// Something failed on the way, or a demo did not add up.
    pub const FAILED: u8 = 1;
    /// The arguments make no sense here.
    pub const USAGE: u8 = 2;
    /// This kernel cannot.
    pub const KERNEL: u8 = 3;
    /// A capability is missing.
    pub const PRIVILEGE: u8 = 4;
}

/// Why a command ended early: one sentence and an exit status.
#[derive(Debug)]
pub struct Failure {
    pub status: u8,
    pub message: String,
}

impl Failure {
    pub fn new(status: u8, message: impl fmt::Display) -> Self {
        Self {
            status,
            message: message.to_string(),
        }
    }

    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(status::USAGE, message)
    }

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
            OutputError::Create { .. } | OutputError::Unread(_) => Self::usage(error),
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
