//! Outputs that fail: no room, no room any more, a reader that stops reading.
//! The summary is told on standard error then.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::Signal;
use serde_json::Value;
use whydrop_tests::deadline::{ready, scaled, wait_until};
use whydrop_tests::family::Family;
use whydrop_tests::netns::Netns;
use whydrop_tests::process;
use whydrop_tests::truth::{Row, Truth, find_row};
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

use super::burst;
use crate::lifecycle::Scratch;

const FAILED: i32 = 1;

/// What a file may have, where that is limited.
const LIMIT_BYTES: u64 = 16 << 10;

#[test]
fn full_disk() -> Result<()> {
    let arguments = ["--output", "/dev/full", "--for", "2s"];
    let command = Watch::new().args(arguments).command()?;
    let stopped = Whydrop::spawn(command)?.finish()?;
    let said = &stopped.stderr;
    ensure!(stopped.code == Some(FAILED), "{:?}: {said}", stopped.code);
    // It goes on for as long as it was asked to, and says at once that nothing is written.
    check_sentence(said, "not writing to /dev/full for now")?;
    check_sentence(said, "writing to /dev/full failed")?;
    summary_in(said)?;
    Ok(())
}

/// Some lines find room and later ones do not.
#[test]
fn disk_that_fills_up() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let file = Scratch::new("full.json");
    let path = file.0.to_str().context("no UTF-8")?;
    let mut command = Watch::new().args(["--output", path]).command()?;
    // SAFETY: both calls are async-signal-safe and use nothing but this stack.
    unsafe { command.pre_exec(limit_files) };
    let whydrop = Whydrop::spawn(command)?;
    wait_until("the readiness line in the file", ready(), || {
        Ok(fs::read_to_string(path)
            .unwrap_or_default()
            .contains(r#""start""#))
    })?;
    let truth = Truth::begin(wire.netns())?;
    burst(&wire, &listener, 1000)?.run(&AtomicBool::new(false))?;
    wait_until("a file that takes no more", ready(), || {
        Ok(fs::metadata(path)?.len() == LIMIT_BYTES)
    })?;
    // It goes on: what comes now is counted, too.
    burst(&wire, &listener, 10)?.run(&AtomicBool::new(false))?;
    let stopped = whydrop.stop()?;

    let said = &stopped.stderr;
    ensure!(stopped.code == Some(FAILED), "{:?}: {said}", stopped.code);
    check_sentence(said, &format!("writing to {path} failed"))?;
    check_counts(&summary_in(said)?, &truth, wire.netns())?;
    check_lines(&fs::read(path)?)?;
    Ok(())
}

/// So much fits into one file. SIGXFSZ ends a process by default.
fn limit_files() -> std::io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: LIMIT_BYTES,
        rlim_max: LIMIT_BYTES,
    };
    // SAFETY: plain system calls; the limit lives on this stack.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
        if libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// More than a pipe and the queue before it hold.
#[test]
fn reader_that_stops_reading() -> Result<()> {
    const SYNS: usize = 50_000;
    const PIPE_BYTES: usize = 4096;
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let burst = burst(&wire, &listener, SYNS)?;
    let mut child = Running(
        Watch::new()
            .command()?
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?,
    );
    let output = child.0.stdout.take().context("no stdout")?;
    fcntl_setpipe_size(&output, PIPE_BYTES)?;
    let mut output = BufReader::new(output);
    let mut start = String::new();
    output.read_line(&mut start)?;
    ensure!(start.contains(r#""start""#), "the first line is {start}");

    let truth = Truth::begin(wire.netns())?;
    burst.run(&AtomicBool::new(false))?;
    wire.peer(Family::V4, listener.port()).syn()?;
    process::signal(child.0.id(), Signal::INT)?;
    let mut status = None;
    wait_until("its end", scaled(Duration::from_secs(20)), || {
        status = child.0.try_wait()?;
        Ok(status.is_some())
    })?;
    let mut said = String::new();
    let mut stderr = child.0.stderr.take().context("no stderr")?;
    stderr.read_to_string(&mut said)?;

    let code = status.and_then(|status| status.code());
    ensure!(code == Some(FAILED), "{code:?}: {said}");
    check_sentence(&said, "the reader of standard output took nothing")?;
    let row = check_counts(&summary_in(&said)?, &truth, wire.netns())?;
    ensure!(
        row.lost + row.sampled > 0,
        "{SYNS} lines fit nowhere: {row:?}"
    );
    let mut got = Vec::new();
    output.read_to_end(&mut got)?;
    check_lines(&got)
}

/// Not left behind by a test that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What failed is said in one line, and there is no panic.
fn check_sentence(said: &str, what: &str) -> Result<()> {
    let sentences = said.lines().filter(|line| line.contains(what)).count();
    ensure!(sentences == 1, "{sentences} times {what:?} in: {said}");
    let others = said
        .lines()
        .filter(|line| !line.starts_with("whydrop: ") && !line.starts_with('{'));
    ensure!(others.count() == 0, "more than sentences: {said}");
    Ok(())
}

fn summary_in(said: &str) -> Result<Value> {
    let lines = said.lines().filter(|line| line.starts_with('{'));
    let mut values = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let summary = values.find(|line| line["type"] == "summary");
    summary.with_context(|| format!("no summary in: {said}"))
}

/// The summary's counts are the kernel's.
fn check_counts(summary: &Value, truth: &Truth, netns: &Netns) -> Result<Row> {
    const COUNTER: &str = "ListenOverflows";
    let row = find_row(summary, netns.inum(), COUNTER);
    let row = Row::new(row.with_context(|| format!("no row for {COUNTER} in {summary}"))?)?;
    let counted = truth.moved(netns)?.get(COUNTER);
    ensure!(
        row.kernel == counted && row.unattributed == 0,
        "the kernel counted {counted}: {row:?}"
    );
    ensure!(
        row.kernel == row.seen + row.sampled + row.lost,
        "it does not add up: {row:?}"
    );
    Ok(row)
}

/// Every line that is complete is JSON, and there are some.
fn check_lines(output: &[u8]) -> Result<()> {
    let end = output.iter().rposition(|byte| *byte == b'\n');
    let complete = &output[..end.context("not one line")?];
    for line in complete.split(|byte| *byte == b'\n') {
        serde_json::from_slice::<Value>(line)
            .with_context(|| format!("no JSON: {}", String::from_utf8_lossy(line)))?;
    }
    Ok(())
}
