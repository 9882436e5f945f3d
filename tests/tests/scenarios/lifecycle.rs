//! How it starts and how it ends: Ctrl-C, SIGTERM, a time, a closed pipe. It
//! always sums up and leaves nothing behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use whydrop_tests::bpf;
use whydrop_tests::deadline::{ready, soon, wait_until};
use whydrop_tests::family::Family;
use whydrop_tests::netns::Netns;
use whydrop_tests::paths;
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::{Watch, Whydrop, run};
use whydrop_tests::wire::Wire;

use crate::traced::{check_events, wait_for};

#[test]
fn ctrl_c_sums_up_and_leaves_nothing_attached() -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let whydrop = Whydrop::start()?;
    let programs = bpf::programs_of(whydrop.pid())?;
    ensure!(!programs.is_empty(), "whydrop runs without a BPF program");
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    stopped.summary()?;
    bpf::wait_gone(&programs)?;
    ensure!(
        fs::read_to_string("/proc/self/mounts")? == mounts,
        "a mount was left behind"
    );
    Ok(())
}

#[test]
fn sigterm_sums_up() -> Result<()> {
    let whydrop = Whydrop::start()?;
    whydrop.signal(Signal::TERM)?;
    let stopped = whydrop.finish()?;
    stopped.summary()?;
    stopped.ended_well()?;
    Ok(())
}

#[test]
fn ends_after_the_asked_time() -> Result<()> {
    let begin = Instant::now();
    let stopped = Watch::new().args(["--for", "1s"]).start()?.finish()?;
    stopped.ended_well()?;
    ensure!(
        begin.elapsed() >= Duration::from_secs(1),
        "it ended after {:?}",
        begin.elapsed()
    );
    let duration = stopped.summary()?["duration_s"]
        .as_f64()
        .context("no duration_s")?;
    ensure!(
        (0.9..30.0).contains(&duration),
        "it says that it ran for {duration} s"
    );
    Ok(())
}

#[test]
fn readiness_line_says_what_is_attached() -> Result<()> {
    let whydrop = Whydrop::start()?;
    let start = whydrop.readiness()?;
    whydrop.stop()?;
    let text = start.to_string();
    ensure!(text.contains("schema"), "no schema version in {text}");
    ensure!(
        ["trampoline", "kprobe", "cgroup"]
            .iter()
            .any(|tier| text.contains(tier)),
        "no tier in {text}"
    );
    Ok(())
}

/// A container that starts later is watched from its first packet.
#[test]
fn namespace_made_while_it_runs() -> Result<()> {
    let whydrop = Whydrop::start()?;
    let netns = Netns::new()?;
    let truth = Truth::begin(&netns)?;
    let wire = Wire::in_netns(netns)?;
    let expected = paths::syn_overflow(&wire, Family::V4)?;
    wait_for(&whydrop, &wire, &expected)?;
    let stopped = whydrop.stop()?;
    truth.check(wire.netns(), &stopped)?;
    check_events(&wire, &expected, &stopped)
}

#[test]
fn output_goes_to_a_file() -> Result<()> {
    let file = Scratch::new("output.json");
    let path = file.0.to_str().context("no UTF-8")?;
    let wire = Wire::new()?;
    let whydrop = Whydrop::spawn(Watch::new().args(["--output", path]).command()?)?;
    let read = || fs::read_to_string(path).unwrap_or_default();
    wait_until("the readiness line in the file", ready(), || {
        Ok(read().contains(r#""start""#))
    })?;
    let expected = paths::syn_overflow(&wire, Family::V4)?;
    wait_until("the events in the file", soon(), || {
        Ok(read().matches(r#""overflow""#).count() >= expected.events.len())
    })?;
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    ensure!(stopped.events.is_empty(), "events on stdout as well");
    let lines: Vec<Value> = read()
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(
        lines.last().is_some_and(|line| line["type"] == "summary"),
        "the file does not end in a summary"
    );
    Ok(())
}

#[test]
fn a_closed_pipe_is_success() -> Result<()> {
    let wire = Wire::new()?;
    let mut child = Watch::new()
        .command()?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut output = BufReader::new(child.stdout.take().context("no stdout")?);
    let mut start = String::new();
    output.read_line(&mut start)?;
    ensure!(start.contains(r#""start""#), "the first line is {start}");
    drop(output);
    let expected = paths::syn_overflow(&wire, Family::V4)?;
    let mut status = None;
    let ended = wait_until("its end", soon(), || {
        wire.peer(
            Family::V4,
            expected
                .listener
                .as_ref()
                .map_or(0, whydrop_tests::listener::Listener::port),
        )
        .syn()?;
        status = child.try_wait()?;
        Ok(status.is_some())
    });
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    ended?;
    ensure!(
        status.and_then(|status| status.code()) == Some(0),
        "it ended with {status:?}"
    );
    Ok(())
}

#[test]
fn text_is_the_default() -> Result<()> {
    let stopped_text = {
        let file = Scratch::new("output.txt");
        let path = file.0.to_str().context("no UTF-8")?.to_owned();
        let stopped = run(&["--for", "1s", "--output", &path])?;
        stopped.ended_well()?;
        fs::read_to_string(&path)?
    };
    ensure!(!stopped_text.trim().is_empty(), "no text at all");
    ensure!(
        !stopped_text.starts_with('{'),
        "JSON without being asked: {stopped_text}"
    );
    Ok(())
}

#[test]
fn demo_sees_what_the_kernel_counts() -> Result<()> {
    let stopped = Whydrop::spawn({
        let mut command = std::process::Command::new(whydrop_tests::whydrop::binary()?);
        command.args(["demo", "--format", "json"]);
        command
    })?
    .finish()?;
    stopped.ended_well()?;
    Ok(())
}

/// A file name of our own that is gone when the test is.
pub(crate) struct Scratch(pub PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let directory = std::env::temp_dir();
        // The initramfs of a test VM may have no /tmp yet.
        let _ = fs::create_dir_all(&directory);
        Self(directory.join(format!("whydrop-tests-{}-{name}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
