//! Without privileges: which one is missing, and what works all the same.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use whydrop_tests::deadline::{ready, wait_until};
use whydrop_tests::family::Family;
use whydrop_tests::paths;
use whydrop_tests::truth::row;
use whydrop_tests::whydrop::{Whydrop, binary};
use whydrop_tests::wire::Wire;

pub(crate) const NOBODY: u32 = 65534;
pub(crate) const NO_PRIVILEGE: i32 = 4;

#[test]
fn says_what_is_missing() -> Result<()> {
    let stopped = Whydrop::spawn(as_nobody(&[])?)?.finish()?;
    ensure!(
        stopped.code == Some(NO_PRIVILEGE),
        "exit code {:?}, stderr: {}",
        stopped.code,
        stopped.stderr
    );
    ensure!(
        stopped.stderr.contains("CAP_"),
        "no capability is named: {}",
        stopped.stderr
    );
    ensure!(
        stopped.stderr.contains("--tier counters"),
        "no way out is named: {}",
        stopped.stderr
    );
    Ok(())
}

/// In the namespace that it is started in, nobody may read the counters too.
#[test]
fn counters_need_none() -> Result<()> {
    let wire = Wire::new()?;
    let command = as_nobody(&["--tier", "counters", "--netns", "self"])?;
    let whydrop = wire.netns().run(|| Whydrop::spawn(command))??;
    wait_until("readiness", ready(), || Ok(whydrop.readiness().is_ok()))?;
    let expected = paths::syn_overflow(&wire, Family::V4)?;
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    let row = row(&stopped, wire.netns(), "ListenOverflows")?;
    ensure!(
        row.as_ref()
            .is_some_and(|row| row.kernel == expected.counter("ListenOverflows")),
        "it read {row:?}"
    );
    Ok(())
}

/// A list of listeners needs none in the namespace that it is started in, and says what it does not know.
#[test]
fn a_list_says_what_is_not_known() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let command = command_of_nobody("list", &[])?;
    let stopped = wire.netns().run(|| Whydrop::spawn(command))??.finish()?;
    stopped.ended_well()?;
    let cookie = format!("{:#x}", listener.cookie());
    let mut lines = stopped.others.iter();
    let row = lines.find(|line| line["cookie"] == cookie);
    let row = row.with_context(|| format!("no row: {:?}", stopped.others))?;
    ensure!(row["accept_queue_len"] == 2, "{row}");
    ensure!(row["limit_from"] == "listen", "{row}");
    ensure!(row["owner_known"] == false, "{row}");
    let mut notes = row["notes"].as_array().into_iter().flatten();
    ensure!(!notes.any(|note| note == "no-process"), "{row}");
    let mut lines = stopped.others.iter();
    ensure!(
        lines.any(|line| line["type"] == "missing"),
        "nothing is said to be missing: {:?}",
        stopped.others
    );
    Ok(())
}

/// A command line without any tier of the environment.
fn as_nobody(arguments: &[&str]) -> Result<Command> {
    command_of_nobody("watch", arguments)
}

fn command_of_nobody(name: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(readable_by_all(binary()?)?);
    command
        .args([name, "--format", "json"])
        .args(arguments)
        .uid(NOBODY)
        .gid(NOBODY);
    Ok(command)
}

/// The binary, or a copy of it where nobody may go, when it is in somebody's
/// private directory.
pub(crate) fn readable_by_all(binary: PathBuf) -> Result<PathBuf> {
    let open = |path: &Path| {
        fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o005 == 0o005)
    };
    if binary.canonicalize()?.ancestors().all(open) {
        return Ok(binary);
    }
    let copy = std::env::temp_dir().join(format!("whydrop-tests-{}-copy", std::process::id()));
    if !copy.exists() {
        let unfinished = copy.with_extension("new");
        fs::copy(&binary, &unfinished)?;
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755))?;
        fs::rename(&unfinished, &copy)?;
    }
    Ok(copy)
}
