//! Lines for those who read logs: xtask, and people.

use std::fmt::Display;
use std::io::Write;

use anyhow::Result;

/// Writes a line past libtest's capture, so that it is in every log; in one piece, since libtest and the kernel write to the
/// same console.
pub fn say(line: impl Display) -> Result<()> {
    let line = format!("{line}\n");
    Ok(std::io::stderr().write_all(line.as_bytes())?)
}

/// A figure for `cargo xtask bench`.
pub fn say_figure(figure: impl Display) -> Result<()> {
    say(format_args!("BENCH {figure}"))
}
