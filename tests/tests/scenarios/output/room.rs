//! No room for a while, and a reader that shares its end of a pipe.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;
use whydrop_tests::command::{Running, whydrop};
use whydrop_tests::deadline::{ready, scaled, wait_until};
use whydrop_tests::family::Family;
use whydrop_tests::flood::{Flood, clients};
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::Watch;
use whydrop_tests::wire::Wire;

use super::{Folder, lines_of, started, stop, wait_lines, watch_into};

/// A small disk, which goes with the test.
struct Disk(Folder);

impl Disk {
    fn new() -> Result<Self> {
        let folder = Folder::new("disk")?;
        let size = c"size=4m";
        mount("none", &folder.0, "tmpfs", MountFlags::empty(), Some(size))?;
        Ok(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(&self.0.0, UnmountFlags::DETACH);
    }
}

/// What had no room waits, or is counted; the watch goes on, and so do the lines once there is room.
#[test]
fn a_disk_that_is_full_for_a_while() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let disk = Disk::new()?;
    let [path, other] = ["drops.jsonl", "other"].map(|name| disk.0.path(name));
    let whydrop = started(watch_into(&path, &[])?, &path, 0)?;
    let truth = Truth::begin(wire.netns())?;
    let taken = fs::write(&other, vec![b'x'; 8 << 20]);
    ensure!(taken.is_err(), "the disk has room");
    let burst = Flood {
        clients: clients(64, 1),
        to: listener.address(),
        syns: 500,
        limit: Duration::from_mins(1),
        threads: 1,
    };
    burst.ready(&wire)?.run(&AtomicBool::new(false))?;
    wire.peer(Family::V4, listener.port()).syn()?;
    whydrop.signal(Signal::USR1)?;
    // It says so within a second or two, and more than that it does not try.
    let is_full = || Ok(fs::metadata(&path)?.len() % 4096 == 0);
    wait_until("a file that has no room", ready(), is_full)?;
    ensure!(lines_of(&path, "summary").is_empty(), "the disk had room");
    fs::remove_file(&other)?;
    // One that was asked for while there was no room.
    wait_lines(&path, "summary", 1)?;
    stop(whydrop)?;

    let text = fs::read_to_string(&path)?;
    let torn = text
        .lines()
        .filter(|line| serde_json::from_str::<serde_json::Value>(line).is_err());
    ensure!(torn.count() == 0, "lines are torn");
    let summaries = lines_of(&path, "summary");
    let last = summaries.last().context("no summary")?;
    let counted = truth.moved(wire.netns())?.get("ListenOverflows");
    let row = whydrop_tests::truth::find_row(last, wire.netns().inum(), "ListenOverflows");
    let row = whydrop_tests::truth::Row::new(row.context("no row")?)?;
    ensure!(
        row.kernel == counted && row.unattributed == 0,
        "of {counted}: {row:?}"
    );
    let lines = lines_of(&path, "event");
    let lines = lines
        .iter()
        .filter(|line| line["kind"] == "overflow" && line["netns"] == wire.netns().inum())
        .count() as u64;
    ensure!(lines == row.seen, "{lines} lines: {row:?}");
    Ok(())
}

/// Whatever the command's status is.
#[test]
fn a_report_that_cannot_be_written_is_told() -> Result<()> {
    for status in ["0", "5"] {
        let exit = format!("exit {status}");
        let arguments = ["--report", "/dev/full", "--", "sh", "-c", &exit];
        let over = Running::start(whydrop("run", &arguments)?)?.finish()?;
        over.ensure_says("writing the report failed")?;
        over.ensure_status(if status == "0" { 1 } else { 5 })?;
    }
    Ok(())
}

/// node, expect and tmux make an end that is shared non-blocking: that is a slow reader, and no error.
#[test]
fn a_pipe_that_is_non_blocking() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let (reader, writer) = std::io::pipe()?;
    fcntl_setfl(&writer, fcntl_getfl(&writer)? | OFlags::NONBLOCK)?;
    let mut child = Watch::new()
        .args(["--detail", "all"])
        .command()?
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()?;
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    // Far more than a pipe holds.
    let burst = Flood {
        clients: clients(64, 1),
        to: listener.address(),
        syns: 2000,
        limit: Duration::from_mins(1),
        threads: 1,
    };
    burst.ready(&wire)?.run(&AtomicBool::new(false))?;
    let mut rest = Vec::new();
    let reading = std::thread::spawn(move || reader.read_to_end(&mut rest).map(|_| rest));
    whydrop_tests::process::signal(child.id(), Signal::INT)?;
    let mut status = None;
    wait_until("its end", scaled(Duration::from_secs(20)), || {
        status = child.try_wait()?;
        Ok(status.is_some())
    })?;
    let mut said = String::new();
    child
        .stderr
        .take()
        .context("no stderr")?
        .read_to_string(&mut said)?;
    let code = status.and_then(|status| status.code());
    ensure!(code == Some(0), "{code:?}: {said}");
    let rest = reading.join().ok().context("the reader panicked")??;
    let rest = String::from_utf8(rest)?;
    ensure!(rest.contains(r#""summary""#), "no summary: {said}");
    Ok(())
}
