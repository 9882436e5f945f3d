//! Manners of a command: a signal that comes early, a reader that leaves early,
//! a terminal that goes away.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use whydrop_tests::deadline::{ready, wait_until};
use whydrop_tests::event::overflow_in;
use whydrop_tests::family::Family;
use whydrop_tests::paths;
use whydrop_tests::whydrop::{Watch, Whydrop, binary};
use whydrop_tests::wire::Wire;

/// Bit of a signal in the sets of /proc/PID/status.
fn bit(signal: Signal) -> u64 {
    1 << (signal.as_raw() - 1)
}

/// Whether the process catches this signal by now.
fn catches(pid: u32, signal: Signal) -> Result<bool> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .context("no SigCgt in the status")?;
    Ok(u64::from_str_radix(caught.trim(), 16)? & bit(signal) != 0)
}

#[test]
fn an_early_signal_still_sums_up() -> Result<()> {
    let mut command = Watch::new().command()?;
    // SAFETY: signal(2) is async-signal-safe, and nothing else is done between fork and exec.
    unsafe {
        // What runs the tests may ignore it, as nohup does.
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
            Ok(())
        });
    }
    let whydrop = Whydrop::spawn(command)?;
    // It is not ready yet: it has not even begun to load its programs. SIGHUP
    // is the last that it catches: a signal that comes between the kernel's
    // taking a handler and the library's knowing what to call is lost.
    wait_until("the handlers of signals", ready(), || {
        catches(whydrop.pid(), Signal::HUP)
    })?;
    whydrop.signal(Signal::INT)?;
    let stopped = whydrop.finish()?;
    stopped.summary()?;
    stopped.ended_well()?;
    Ok(())
}

#[test]
fn a_hangup_that_was_ignored_from_the_start_stays_ignored() -> Result<()> {
    let wire = Wire::new()?;
    let mut command = Watch::new().command()?;
    // SAFETY: signal(2) is async-signal-safe, and nothing else is done between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            Ok(())
        });
    }
    let whydrop = Whydrop::spawn(command)?;
    whydrop.wait_line("its start", |line| line["type"] == "start")?;
    whydrop.signal(Signal::HUP)?;
    let expected = paths::syn_overflow(&wire, Family::V4)?;
    whydrop.wait_events(
        expected.events.len(),
        "events after the hangup",
        overflow_in(wire.netns()),
    )?;
    ensure!(whydrop.stop()?.code == Some(0), "it did not end well");
    Ok(())
}

/// `whydrop check | head -1`, and the same of the demo.
#[test]
fn a_reader_that_leaves_early_is_no_failure() -> Result<()> {
    for command in ["check", "demo"] {
        let mut child = Command::new(binary()?)
            .arg(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        drop(output);
        let ended = child.wait_with_output()?;
        ensure!(
            ended.status.code() == Some(0),
            "{command} ended with {:?}: {}",
            ended.status,
            String::from_utf8_lossy(&ended.stderr)
        );
    }
    Ok(())
}
