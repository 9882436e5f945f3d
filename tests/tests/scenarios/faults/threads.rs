//! Where no more threads may be made (pids.max, RLIMIT_NPROC, TasksMax of a unit), a command either does without or ends with
//! a sentence; it never panics.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use whydrop_tests::command::{Over, Running, whydrop};
use whydrop_tests::supervised::{Calls, Supervisor};
use whydrop_tests::whydrop::Watch;
use whydrop_tests::wire::Wire;

const FAILED: i32 = 1;

/// More threads than any of these commands makes before it watches.
const MOST_THREADS: u64 = 12;

/// Runs it to its end with so many threads; whether it asked for more, too.
fn with_threads(mut command: Command, at_most: u64) -> Result<(Over, bool)> {
    let asked = Arc::new(AtomicU64::new(0));
    let asks = Arc::clone(&asked);
    let supervisor = Supervisor::of(&mut command, Calls::Threads, move |_| {
        let nth = asks.fetch_add(1, Ordering::SeqCst);
        (nth >= at_most).then_some(libc::EAGAIN)
    })?;
    let over = Running::start(command)?.finish()?;
    supervisor.finish()?;
    Ok((over, asked.load(Ordering::SeqCst) > at_most))
}

/// Runs it with ever more threads, until it has all that it asks for. Returns how often it did not do without.
fn never_panics(command: impl Fn() -> Result<Command>) -> Result<u64> {
    let mut failed = 0;
    for at_most in (0..MOST_THREADS).step_by(2) {
        let (over, asked_for_more) = with_threads(command()?, at_most)?;
        let said = format!(
            "with {at_most} threads it ends with {} and says: {}",
            over.status, over.stderr
        );
        ensure!(!over.stderr.contains("panicked"), "{said}");
        match over.status.code() {
            Some(0) => {}
            Some(FAILED) => {
                failed += 1;
                ensure!(over.stderr.starts_with("whydrop: "), "{said}");
            }
            _ => anyhow::bail!(said),
        }
        if !asked_for_more {
            break;
        }
    }
    Ok(failed)
}

fn ensure_some_fail(failed: u64) -> Result<()> {
    ensure!(failed > 0, "it needs no thread: this proves nothing");
    Ok(())
}

#[test]
fn watch_says_so() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let options = ["--netns", &here, "--for", "100ms"];
    ensure_some_fail(never_panics(|| Watch::new().args(options).command())?)
}

#[test]
fn why_says_so() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let options = ["9999", "--netns", &here, "--for", "100ms", "--probe"];
    ensure_some_fail(never_panics(|| whydrop("why", &options))?)
}

#[test]
fn run_says_so() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let options = ["--netns", &here, "--", "true"];
    ensure_some_fail(never_panics(|| whydrop("run", &options))?)
}

#[test]
fn verify_cannot_tell() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let options = ["9999", "--netns", &here, "--for", "100ms"];
    never_panics(|| whydrop("verify", &options)).map(drop)
}

#[test]
fn demo_says_so() -> Result<()> {
    ensure_some_fail(never_panics(|| whydrop("demo", &[]))?)
}

/// One thread is for its lines, and the next would have entered another namespace.
#[test]
fn a_watch_says_which_listeners_it_could_not_list() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let options = ["--tier", "counters", "--netns", &here, "--for", "100ms"];
    let mut command = Command::new(whydrop_tests::whydrop::binary()?);
    command.args(options);
    let (over, _) = with_threads(command, 1)?;
    over.ensure_status(0)?;
    ensure!(
        over.stderr.contains("could not be listed"),
        "it says: {}",
        over.stderr
    );
    Ok(())
}

/// It needs no hooks, and a thread for each namespace that it does not run in.
#[test]
fn list_says_which_namespaces_it_could_not_ask() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let mut command = Command::new(whydrop_tests::whydrop::binary()?);
    command.args(["list", "--netns", &here]);
    let (over, asked_for_more) = with_threads(command, 0)?;
    ensure!(asked_for_more, "it needs no thread: this proves nothing");
    let said = format!("{}{}", String::from_utf8_lossy(&over.stdout), over.stderr);
    ensure!(
        !said.contains("panicked") && said.contains("temporarily unavailable"),
        "it ends with {} and says: {said}",
        over.status
    );
    Ok(())
}
