//! Hands the recordings that scenarios kept to the machine outside: each as a line `NAME LENGTH` and its bytes, through the
//! second serial port. xtask's vm/kept.rs is the reader.

use std::fs::{self, OpenOptions};
use std::io::Write;

use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, tcdrain, tcgetattr, tcsetattr};

/// Where scenarios keep them.
pub(crate) const FOLDER: &str = "/tmp/kept";

const PORT: &str = "/dev/ttyS1";

pub(crate) fn hand_over() -> Result<()> {
    let mut port = OpenOptions::new()
        .write(true)
        .read(true)
        .open(PORT)
        .context(PORT)?;
    // As a terminal it would put a carriage return before each newline.
    let mut mode = tcgetattr(&port)?;
    mode.make_raw();
    tcsetattr(&port, OptionalActions::Now, &mode)?;
    for entry in fs::read_dir(FOLDER)? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(port, "{name} {}", bytes.len())?;
        port.write_all(&bytes)?;
    }
    Ok(tcdrain(&port)?)
}
