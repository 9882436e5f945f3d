//! `--output` names a file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use whydrop_tests::deadline::{ready, wait_until};
use whydrop_tests::family::Family;
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

use super::{Folder, lines_of, started, stop, wait_lines, watch_into};

const USAGE: i32 = 2;

#[test]
fn each_start_adds_its_lines() -> Result<()> {
    let folder = Folder::new("adds")?;
    let path = folder.path("drops.jsonl");
    for before in 0..2 {
        stop(started(watch_into(&path, &[])?, &path, before)?)?;
    }
    let counts = ["start", "summary"].map(|name| lines_of(&path, name).len());
    ensure!(counts == [2, 2], "starts and summaries: {counts:?}");
    let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "it may be read by others: {mode:o}");
    Ok(())
}

#[test]
fn a_dash_is_standard_output_and_so_is_its_device() -> Result<()> {
    for name in ["-", "/dev/stdout"] {
        let stopped = Watch::new().args(["--output", name]).start()?.stop()?;
        stopped.ended_well()?;
        stopped.summary().context(name)?;
    }
    Ok(())
}

#[test]
fn a_symbolic_link_and_a_fifo_without_a_reader_are_refused() -> Result<()> {
    let folder = Folder::new("refused")?;
    let [link, target, fifo] = ["link", "target", "fifo"].map(|name| folder.path(name));
    symlink(&target, &link)?;
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    for (path, sentence) in [(&link, "is a symbolic link"), (&fifo, "nobody reads")] {
        let stopped = Whydrop::spawn(watch_into(path, &["--for", "1s"])?)?.finish()?;
        let said = &stopped.stderr;
        ensure!(stopped.code == Some(USAGE), "{:?}: {said}", stopped.code);
        ensure!(said.contains(sentence), "no {sentence:?} in {said}");
    }
    ensure!(!target.exists(), "the link was followed");
    Ok(())
}

/// As logrotate does it by default, and with `copytruncate`.
#[test]
fn a_file_that_is_moved_deleted_or_emptied_goes_on() -> Result<()> {
    let folder = Folder::new("moved")?;
    let [path, moved] = ["drops.jsonl", "drops.jsonl.1"].map(|name| folder.path(name));
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let syn = || wire.peer(Family::V4, listener.port()).syn();
    // Others on this host may be refused as well.
    let netns = wire.netns().pid().to_string();
    let whydrop = started(watch_into(&path, &["--netns", &netns])?, &path, 0)?;

    fs::rename(&path, &moved)?;
    whydrop.signal(Signal::HUP)?;
    wait_until("a new file", ready(), || Ok(path.exists()))?;
    syn()?;
    wait_lines(&path, "event", 1)?;
    ensure!(
        lines_of(&moved, "event").is_empty(),
        "it went into the old one"
    );

    fs::remove_file(&path)?;
    whydrop.signal(Signal::HUP)?;
    wait_until("a new file", ready(), || Ok(path.exists()))?;
    syn()?;
    wait_lines(&path, "event", 1)?;

    fs::File::options().write(true).truncate(true).open(&path)?;
    syn()?;
    wait_lines(&path, "event", 1)?;
    ensure!(!fs::read(&path)?.contains(&0), "there is a hole in it");

    stop(whydrop)?;
    ensure!(lines_of(&path, "summary").len() == 1, "no summary");
    Ok(())
}

#[test]
fn files_are_rotated_and_deleted() -> Result<()> {
    let folder = Folder::new("rotated")?;
    let path = folder.path("drops.jsonl");
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let netns = wire.netns().pid().to_string();
    let rules = ["--rotate", "4k", "--keep", "16k", "--netns", &netns];
    let whydrop = started(watch_into(&path, &rules)?, &path, 0)?;
    let old = || -> Result<Vec<String>> {
        let names = fs::read_dir(&folder.0)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<String>>>()?;
        Ok(names
            .into_iter()
            .filter(|name| name != "drops.jsonl")
            .collect())
    };
    // Each batch of lines is looked at by itself.
    let mut most = 0;
    wait_until("files that were deleted", Duration::from_mins(1), || {
        wire.peer(Family::V4, listener.port()).syn()?;
        let names = old()?;
        most = most.max(names.len());
        let is_first_gone = !names.iter().any(|name| name.contains("-0001"));
        Ok(is_first_gone && names.len() >= 2)
    })?;
    stop(whydrop)?;
    let bytes: u64 = fs::read_dir(&folder.0)?
        .map(|entry| Ok(entry?.metadata()?.len()))
        .sum::<Result<u64>>()?;
    // The summary is of one batch, however long it is.
    let summary = lines_of(&path, "summary");
    ensure!(
        summary.len() == 1,
        "{} summaries in {:?}",
        summary.len(),
        old()?
    );
    let room = (16 << 10) + summary[0].to_string().len() as u64;
    ensure!(
        bytes <= room,
        "{bytes} bytes are kept: {:?}, {most} at most",
        old()?
    );
    Ok(())
}
