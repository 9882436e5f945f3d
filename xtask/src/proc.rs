//! Runs other programs and turns their failure into one sentence.
//!
//! Three manners: `run` lets the program talk to the terminal, `run_reading` listens in, and `capture` keeps its output
//! and shows it only when it fails. All name the whole command line in the error, so that a person can repeat it by hand.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// The repository's root, where every command of this crate runs.
pub(crate) fn root() -> &'static Path {
    // xtask lies directly under the root, and is only ever run from the checkout that built it.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

pub(crate) fn command<I: AsRef<OsStr>>(
    program: &str,
    args: impl IntoIterator<Item = I>,
) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

/// The cargo that runs us, so that `cargo +toolchain xtask` stays on its toolchain.
pub(crate) fn cargo<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Command {
    command(
        &std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()),
        args,
    )
}

/// Runs with the terminal's stdout and stderr.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", line(&command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(&command));
    }
    Ok(())
}

/// Runs with the terminal's stdout. Each line of stderr is given to `line`, and shown if that says so.
pub(crate) fn run_reading(
    mut command: Command,
    mut line: impl FnMut(&str) -> Result<bool>,
) -> Result<()> {
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", self::line(&command)))?;
    let mut read = Ok(());
    for bytes in BufReader::new(child.stderr.take().context("no stderr")?).split(b'\n') {
        let text = String::from_utf8_lossy(&bytes?).into_owned();
        match line(&text) {
            Ok(false) => {}
            Ok(true) => eprintln!("{text}"),
            // The program goes on, so that its own failure is seen first.
            Err(error) => read = Err(error),
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{}` failed ({status})", self::line(&command));
    }
    read
}

/// Runs quietly and returns stdout; on failure everything the program said is in the error.
pub(crate) fn capture(mut command: Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start `{}`", line(&command)))?;
    if !output.status.success() {
        bail!(
            "`{}` failed ({}):\n{}",
            line(&command),
            output.status,
            said(&output)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a program is, if PATH knows it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn said(output: &Output) -> String {
    let all = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&all).trim_end().to_owned();
    // A package manager can print hundreds of lines before the one that matters.
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
