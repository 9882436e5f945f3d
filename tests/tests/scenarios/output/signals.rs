//! Signals that ask for something, and those that end a process without a word by default.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use whydrop_tests::event::overflow_in;
use whydrop_tests::family::Family;
use whydrop_tests::paths;
use whydrop_tests::truth::{Truth, find_row};
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

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
fn no_signal_that_can_be_caught_ends_it_without_a_summary() -> Result<()> {
    for signal in [Signal::QUIT, Signal::USR2, Signal::ALARM, Signal::XCPU] {
        let mut command = Watch::new().command()?;
        let raw = signal.as_raw();
        // SAFETY: signal(2) is async-signal-safe, and nothing else is done between fork and exec.
        unsafe {
            command.pre_exec(move || {
                libc::signal(raw, libc::SIG_DFL);
                Ok(())
            });
        }
        let whydrop = Whydrop::spawn(command)?;
        whydrop.wait_line("its start", |line| line["type"] == "start")?;
        whydrop.signal(signal)?;
        let stopped = whydrop.finish()?;
        stopped.ended_well()?;
        stopped.summary()?;
    }
    Ok(())
}
