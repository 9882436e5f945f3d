//! The commands: arguments come in, an exit status goes out. Each is thin; the
//! rooms do the work.

pub mod check;
pub mod demo;
pub mod empty;
pub mod record;
mod recorded;
pub mod replay;
pub mod run;
pub mod schema;
pub mod verify;

pub mod explain;
pub mod list;
pub mod watch;
pub mod why;

use std::{fmt, io::Write};

use crate::{
    host::threads::NoThread,
    loader::LoadError,
    model::Origin,
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

/// Writes a line to standard output. A reader that went away ends the command,
/// and is no failure: its status is 0 and it has nothing to say.
pub fn say(line: impl fmt::Display) -> Result<(), Failure> {
    write(&format!("{line}\n"))
}

/// As [`say`], whole lines.
pub fn write(lines: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout();
    let written = stdout.write_all(lines.as_bytes());
    let flushed = written.and_then(|()| stdout.flush());
    flushed.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::new(status::OK, ""),
        _ => Failure::failed(format!("writing to standard output failed: {error}")),
    })
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
        let status = match error.is_usage() {
            true => status::USAGE,
            false => status::FAILED,
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

/// What this host is called.
pub fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// This host.
pub fn origin() -> Origin {
    Origin {
        host: host_name(),
        boot_id: boot_id(),
        kernel: kernel_release(),
    }
}

/// Which boot of this host it is; `None` where that cannot be read.
pub fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
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

/// The running kernel's release, such as `6.12.0`.
pub fn kernel_release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}
