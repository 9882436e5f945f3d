//! What cannot be read is no zero: where too few files may be opened nothing is watched at all, and where the kernel side's
//! maps cannot be read any more the answer is that it cannot be told.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use whydrop_tests::command::{Over, Running, line_of_type, lines, whydrop};
use whydrop_tests::family::Family;
use whydrop_tests::paths;
use whydrop_tests::supervised::{Calls, Supervisor};
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

const FAILED: i32 = 1;

/// Says that it runs, and goes on until its input ends.
const WAITS: [&str; 3] = ["sh", "-c", "echo started; exec cat"];

/// From too few for a program to be loaded up to enough for everything.
const FEWEST_FILES: u64 = 24;
const MOST_FILES: u64 = 240;

#[test]
fn too_few_open_files_are_an_error() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let options = ["--netns", &here, "--fail-on-drop", "--"];
    for files in (FEWEST_FILES..MOST_FILES).step_by(6) {
        let mut command = whydrop("run", &[&options[..], &WAITS].concat())?;
        // SAFETY: one system call on values of its own stack.
        unsafe { command.pre_exec(move || limit_open_files(files)) };
        let mut running = Running::start(command)?;
        let has_started = running.line().is_ok();
        let truth = Truth::begin(wire.netns())?;
        if has_started {
            paths::syn_overflow(&wire, Family::V4)?;
        }
        let over = running.finish()?;
        over.ensure_status(FAILED)?;
        let dropped = truth.moved(wire.netns())?.get("ListenDrops");
        if over.stderr.contains(&format!("{dropped} refusals")) {
            ensure!(has_started, "{}", over.stderr);
            return Ok(());
        }
        ensure!(
            !over.stderr.contains("nothing was dropped"),
            "with {files} files, and {dropped} dropped: {}",
            over.stderr
        );
        ensure!(
            over.stderr.contains("Too many open files") && over.stderr.starts_with("whydrop: "),
            "with {files} files it says: {}",
            over.stderr
        );
    }
    anyhow::bail!("{MOST_FILES} files are not enough")
}

fn limit_open_files(files: u64) -> std::io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: files,
        rlim_max: files,
    };
    // SAFETY: a plain system call; the limit lives on this stack.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Lets all looks into maps fail once it is told to.
struct Maps {
    broken: Arc<AtomicBool>,
    supervisor: Supervisor,
}

impl Maps {
    fn of(command: &mut Command) -> Result<Self> {
        /// include/uapi/linux/bpf.h: BPF_MAP_LOOKUP_ELEM, BPF_MAP_GET_NEXT_KEY.
        const LOOKS: [u64; 2] = [1, 4];
        let broken = Arc::new(AtomicBool::new(false));
        let is_broken = Arc::clone(&broken);
        let supervisor = Supervisor::of(command, Calls::Bpf, move |[command, ..]| {
            let fails = is_broken.load(Ordering::SeqCst) && LOOKS.contains(&command);
            fails.then_some(libc::EIO)
        })?;
        Ok(Self { broken, supervisor })
    }

    fn break_all(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }
}

/// One that has said that it runs, then something is refused and nothing can be read any more.
fn broken(mut command: Command, wire: &Wire, said: &str) -> Result<Over> {
    let maps = Maps::of(&mut command)?;
    let mut running = Running::start(command)?;
    let line = match said {
        "started" => running.line()?,
        _ => running.error_line()?,
    };
    ensure!(line.contains(said), "it says {line}");
    maps.break_all();
    paths::syn_overflow(wire, Family::V4)?;
    if said != "started" {
        running.signal(rustix::process::Signal::INT)?;
    }
    let over = running.finish()?;
    maps.supervisor.finish()?;
    Ok(over)
}

fn ensure_doubts(line: &Value) -> Result<()> {
    let text = line.to_string();
    ensure!(
        text.contains("the kernel side's map") && text.contains("could not be read"),
        "it doubts nothing: {text}"
    );
    Ok(())
}

#[test]
fn run_cannot_tell() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let options = ["--netns", &here, "--fail-on-drop", "--"];
    let command = whydrop("run", &[&options[..], &WAITS].concat())?;
    let over = broken(command, &wire, "started")?;
    over.ensure_status(FAILED)?;
    ensure!(
        over.stderr.starts_with("whydrop: cannot tell whether"),
        "it says: {}",
        over.stderr
    );
    Ok(())
}

#[test]
fn verify_cannot_tell() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let options = ["9999", "--netns", &here, "--for", "10m", "--format", "json"];
    let command = whydrop("verify", &options)?;
    let over = broken(command, &wire, "watching")?;
    over.ensure_status(FAILED)?;
    let lines = lines(&over.stdout)?;
    let line = line_of_type(&lines, "verify")?;
    ensure!(line["verdict"] == "cannot-tell", "{line}");
    ensure_doubts(line)
}

#[test]
fn watch_says_what_is_missing() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let mut command = Watch::new().args(["--netns", &here]).command()?;
    let maps = Maps::of(&mut command)?;
    let watch = Whydrop::spawn(command)?;
    watch.wait_line("readiness", |line| line["type"] == "start")?;
    maps.break_all();
    let stopped = watch.stop()?;
    maps.supervisor.finish()?;
    let summary = stopped.others.iter().find(|line| line["type"] == "summary");
    let summary = summary.context("no summary")?;
    ensure_doubts(&summary["unread"])?;
    ensure!(
        summary["reconciliation"] == Value::Array(Vec::new()),
        "{summary}"
    );
    Ok(())
}

/// Nobody listens there, so that nothing but the watch can tell.
#[test]
fn why_cannot_tell() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let mut command = whydrop("why", &["9999", "--netns", &here, "--for", "10m"])?;
    let maps = Maps::of(&mut command)?;
    let mut running = Running::start(command)?;
    while !running.line()?.starts_with("watching for") {}
    maps.break_all();
    running.signal(rustix::process::Signal::INT)?;
    let over = running.finish()?;
    maps.supervisor.finish()?;
    let said = String::from_utf8_lossy(&over.stdout);
    ensure!(
        said.contains("cannot tell whether anything happened")
            && !said.contains("nothing happened")
            && !said.contains("nothing was refused"),
        "it says: {said}"
    );
    ensure!(said.contains("the kernel side's map"), "it says: {said}");
    Ok(())
}
