//! The commands: arguments come in, an exit status goes out. Each is thin; the
//! rooms do the work.

pub mod check;
pub mod demo;
pub mod empty;
mod failure;
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

pub use self::failure::{Failure, status};
use crate::model::Origin;

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

/// The running kernel's release, such as `6.12.0`.
pub fn kernel_release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}
