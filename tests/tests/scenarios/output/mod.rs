//! Where lines go: a file that earlier starts have written to, that is moved, full, a link or a FIFO; a reader that shares its
//! end; and signals that ask for something else than an end.

mod file;
mod names;
mod room;
mod signals;
mod terminal;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::Value;
use whydrop_tests::deadline::{ready, wait_until};
use whydrop_tests::whydrop::{Watch, Whydrop};

/// A folder of one test, which goes with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let name = format!("whydrop-output-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `watch --output PATH`, to which SIGHUP means what it does by default.
fn watch_into(path: &Path, more: &[&str]) -> Result<Command> {
    let path = path.to_str().context("no UTF-8")?;
    let mut command = Watch::new().args(["--output", path]).args(more).command()?;
    // SAFETY: signal(2) is async-signal-safe, and nothing else is done between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
            Ok(())
        });
    }
    Ok(command)
}

/// Lines of a type that are in the file by now; what is not there has none.
fn lines_of(path: &Path, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let values = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    values.filter(|line: &Value| line["type"] == name).collect()
}

fn wait_lines(path: &Path, name: &str, n: usize) -> Result<()> {
    wait_until(
        &format!("{n} {name} lines in {}", path.display()),
        ready(),
        || Ok(lines_of(path, name).len() >= n),
    )
}

/// Started, and its start line is in the file, which had `n` before.
fn started(command: Command, path: &Path, n: usize) -> Result<Whydrop> {
    let whydrop = Whydrop::spawn(command)?;
    wait_lines(path, "start", n + 1)?;
    Ok(whydrop)
}

fn stop(whydrop: Whydrop) -> Result<()> {
    whydrop.signal(Signal::TERM)?;
    whydrop.finish()?.ended_well()
}
