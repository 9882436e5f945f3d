//! Signals that ask for something, and those that end a process without a word by default.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use whydrop_tests::command::{Running, line_of_type, lines, whydrop as command};
use whydrop_tests::deadline::{ready, wait_until};
use whydrop_tests::event::overflow_in;
use whydrop_tests::family::Family;
use whydrop_tests::paths;
use whydrop_tests::truth::{Truth, find_row};
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

use super::Folder;

#[test]
fn a_summary_that_is_asked_for_is_exact_and_the_watch_goes_on() -> Result<()> {
    let wire = Wire::new()?;
    let netns = wire.netns();
    let whydrop = Watch::new().start()?;
    let truth = Truth::begin(netns)?;
    paths::syn_overflow(&wire, Family::V4)?;
    whydrop.wait_events(1, "overflows", overflow_in(netns))?;
    let counted = truth.moved(netns)?.get("ListenOverflows");
    whydrop.signal(Signal::USR1)?;
    whydrop.wait_line("an interim summary", |line| line["interim"] == true)?;
    paths::syn_overflow(&wire, Family::V4)?;
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    let summaries: Vec<_> = stopped
        .others
        .iter()
        .filter(|line| line["type"] == "summary")
        .collect();
    let [interim, last] = summaries[..] else {
        anyhow::bail!("{} summaries", summaries.len());
    };
    let kernel = |summary| -> Result<u64> {
        let row = find_row(summary, netns.inum(), "ListenOverflows").context("no row")?;
        ensure!(row["unattributed"] == 0, "{row}");
        row["kernel"].as_u64().context("no number")
    };
    ensure!(
        kernel(interim)? == counted,
        "{counted} were refused: {interim}"
    );
    ensure!(last.get("interim").is_none(), "{last}");
    ensure!(
        kernel(last)? == truth.moved(netns)?.get("ListenOverflows"),
        "{last}"
    );
    Ok(())
}

#[test]
fn a_summary_is_given_without_hooks_and_without_lines_too() -> Result<()> {
    let whydrop = Watch::new().args(["--tier", "counters"]).start()?;
    whydrop.signal(Signal::USR1)?;
    whydrop.wait_line("an interim summary", |line| line["interim"] == true)?;
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;

    let folder = Folder::new("interim")?;
    let path = folder.path("x.whydrop");
    let path = path.to_str().context("no UTF-8")?;
    let mut recording = Running::start(command("record", &["--output", path, "--netns", "self"])?)?;
    while !recording.error_line()?.contains("watching") {}
    recording.signal(Signal::USR1)?;
    while !recording.error_line()?.starts_with("so far, ") {}
    recording.signal(Signal::TERM)?;
    let over = recording.finish()?;
    over.ensure_status(0)?;
    let replayed = Running::start(command("replay", &[path, "--format", "json"])?)?.finish()?;
    let summaries = lines(&replayed.stdout)?;
    let summaries = summaries.iter().filter(|line| line["type"] == "summary");
    ensure!(summaries.count() == 1, "the interim one was recorded");
    Ok(())
}

/// What is recorded goes on in a file of the name that was given.
#[test]
fn a_hangup_opens_a_recording_by_its_name_again() -> Result<()> {
    let folder = Folder::new("recorded")?;
    let [path, moved] = ["x.whydrop", "moved.whydrop"].map(|name| folder.path(name));
    let name = path.to_str().context("no UTF-8")?;
    let mut asked = command("record", &["--output", name, "--netns", "self"])?;
    by_default(&mut asked, Signal::HUP);
    let mut recording = Running::start(asked)?;
    while !recording.error_line()?.contains("watching") {}
    std::fs::rename(&path, &moved)?;
    recording.signal(Signal::HUP)?;
    wait_until("a new file", ready(), || Ok(path.exists()))?;
    recording.signal(Signal::TERM)?;
    recording.finish()?.ensure_status(0)?;
    let replayed = Running::start(command("replay", &[name, "--format", "json"])?)?.finish()?;
    line_of_type(&lines(&replayed.stdout)?, "summary")?;
    Ok(())
}

/// What is started has the limit that whydrop was started with.
#[test]
fn a_small_stack_is_enough() -> Result<()> {
    let limited = |mut asked: Command, is_hard: bool| {
        // SAFETY: both system calls are async-signal-safe; the limit lives on this stack.
        unsafe {
            asked.pre_exec(move || {
                let mut limit = libc::rlimit {
                    rlim_cur: 0,
                    rlim_max: 0,
                };
                let mut failed = libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit);
                limit.rlim_cur = 64 << 10;
                if is_hard {
                    limit.rlim_max = limit.rlim_cur;
                }
                failed |= libc::setrlimit(libc::RLIMIT_STACK, &raw const limit);
                match failed {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        Running::start(asked)?.finish()
    };
    // Only CAP_SYS_RESOURCE could raise the hard limit again.
    for is_hard in [false, true] {
        let options = ["--format", "json", "--for", "1s", "--netns", "self"];
        let watched = limited(command("watch", &options)?, is_hard)?;
        watched.ensure_status(0)?;
        line_of_type(&lines(&watched.stdout)?, "summary")?;
        let ran = limited(command("run", &["--", "sh", "-c", "ulimit -s"])?, is_hard)?;
        ran.ensure_status(0)?;
        ensure!(
            ran.stdout == b"64\n",
            "{:?}",
            String::from_utf8_lossy(&ran.stdout)
        );
    }
    Ok(())
}

/// nohup(1) around the tests would make whydrop ignore some.
fn by_default(command: &mut Command, signal: Signal) {
    let raw = signal.as_raw();
    // SAFETY: signal(2) is async-signal-safe, and nothing else is done between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::signal(raw, libc::SIG_DFL);
            Ok(())
        });
    }
}

#[test]
fn no_signal_that_can_be_caught_ends_it_without_a_summary() -> Result<()> {
    for signal in [Signal::QUIT, Signal::USR2, Signal::ALARM, Signal::XCPU] {
        let mut command = Watch::new().command()?;
        by_default(&mut command, signal);
        let whydrop = Whydrop::spawn(command)?;
        whydrop.wait_line("its start", |line| line["type"] == "start")?;
        whydrop.signal(signal)?;
        let stopped = whydrop.finish()?;
        stopped.ended_well()?;
        stopped.summary()?;
    }
    Ok(())
}
