//! The commands: arguments come in, an exit status goes out. Each is thin; the
//! rooms do the work.

mod against;
pub mod check;
pub mod demo;
pub mod empty;
mod failure;
pub mod record;
mod recorded;
pub mod replay;
pub mod run;
pub mod schema;
pub mod serve;
pub mod verify;

pub mod explain;
pub mod list;
pub mod watch;
pub mod why;

use std::{fmt, io::Write};

pub use self::failure::Failure;
pub use crate::model::status;
use crate::{model::harmless, sink::Patient};

/// Writes a line to standard output. A reader that went away ends the command.
pub fn say(line: impl fmt::Display) -> Result<(), Failure> {
    write(&format!("{line}\n"))
}

/// As [`say`], whole lines.
pub fn write(lines: &str) -> Result<(), Failure> {
    let written = Patient(std::io::stdout()).write_all(harmless::lines(lines).as_bytes());
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::reader_gone(),
        _ => Failure::failed(format!("writing to standard output failed: {error}")),
    })
}
