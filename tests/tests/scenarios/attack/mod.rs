//! An unprivileged user in a user namespace of his own attacks, beside a namespace of the host: its numbers stay exact, each
//! refusal there has its line, and whydrop begins and ends in time. `WHYDROP_ATTACK_SECONDS` is how long each attack takes.

mod by;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use whydrop_tests::deadline::scaled;
use whydrop_tests::every::Every;
use whydrop_tests::family::Family;
use whydrop_tests::filed::Filed;
use whydrop_tests::heard::Stopped;
use whydrop_tests::log::say;
use whydrop_tests::process::{Kept, memory_kib};
use whydrop_tests::skip::skip;
use whydrop_tests::steady::rest;
use whydrop_tests::truth::{Truth, row};
use whydrop_tests::whydrop::Watch;
use whydrop_tests::wire::Wire;

use self::by::{ATTACK, BEGINS};
use crate::privilege::NOBODY;

/// How long an attack takes where nobody says so.
const TAKES: Duration = Duration::from_millis(1500);

/// Between two refusals of the host.
const EVERY: Duration = Duration::from_millis(20);

/// It has ended within so long, beside whatever is done.
const ENDED: Duration = Duration::from_secs(5);

/// It is ready within so long more than three times what it takes while nothing happens.
const READY: Duration = Duration::from_secs(1);

/// Lines come within so long after what they tell.
const LATE: Duration = Duration::from_secs(2);

/// A watch of a busy host takes a third.
const MEMORY_AT_MOST_KIB: u64 = 96 << 10;

fn takes() -> Result<Duration> {
    match std::env::var("WHYDROP_ATTACK_SECONDS") {
        Ok(seconds) => Ok(Duration::from_secs(seconds.parse()?)),
        Err(_) => Ok(TAKES),
    }
}

/// This program once more, as nobody who is root of a user namespace of his own, in a network namespace of his own.
fn attacker(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["--ignored", "--exact", "--nocapture", "attack::by::attacks"])
        .env(ATTACK, name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    // SAFETY: system calls alone, on what was made before the fork.
    unsafe { command.pre_exec(becomes_nobody) };
    command
}

fn becomes_nobody() -> std::io::Result<()> {
    let check = |result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: plain system calls, whose arguments are values.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(NOBODY, NOBODY, NOBODY))?;
        check(libc::setresuid(NOBODY, NOBODY, NOBODY))?;
        // Or its own files in /proc are root's.
        check(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0))?;
        check(libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET))?;
    }
    write(c"/proc/self/setgroups", b"deny")?;
    write(c"/proc/self/uid_map", b"0 65534 1")?;
    write(c"/proc/self/gid_map", b"0 65534 1")
}

/// Without memory of its own, as a child between fork and exec has to.
fn write(path: &std::ffi::CStr, text: &[u8]) -> std::io::Result<()> {
    use rustix::fs::{Mode, OFlags, open};
    let file = open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(file, text)?;
    Ok(())
}

/// One that has begun, until it is told to end.
struct Attack {
    attacker: Kept,
    said: BufReader<ChildStdout>,
}

impl Attack {
    /// `None` where nobody may make a user namespace.
    fn begin(name: &str) -> Result<Option<Self>> {
        let spawned = attacker(name).spawn();
        let mut attacker = match spawned {
            Ok(child) => Kept(child),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSPC)) => {
                return Ok(None);
            }
            Err(error) => return Err(error).context("start the attack"),
        };
        let mut said = BufReader::new(attacker.0.stdout.take().context("no output")?);
        let mut line = String::new();
        while !line.contains(BEGINS) {
            line.clear();
            ensure!(said.read_line(&mut line)? > 0, "the attack did not begin");
        }
        Ok(Some(Self { attacker, said }))
    }

    fn end(mut self) -> Result<()> {
        drop(self.attacker.0.stdin.take());
        self.said.read_to_end(&mut Vec::new())?;
        let ended = self.attacker.0.wait()?;
        ensure!(ended.success(), "the attack failed: {ended}");
        Ok(())
    }
}

/// Whether it may cost the host lines, which are counted.
#[derive(Clone, Copy, PartialEq)]
enum Fills {
    Nothing,
    Ring,
}

/// When whydrop starts.
#[derive(Clone, Copy, PartialEq)]
enum Starts {
    Before,
    Beside,
}

fn start(name: &str) -> Result<(Filed, Duration)> {
    let began = Instant::now();
    let watch = Watch::new().args(["--stories", "--stats", "1s"]);
    let whydrop = Filed::start(&format!("attack-{name}"), watch)?;
    Ok((whydrop, began.elapsed()))
}

/// Beside this attack, refusals of the host are told of one by one and add up; `check` looks at all that was said.
fn beside(
    name: &str,
    starts: Starts,
    fills: Fills,
    check: impl FnOnce(&Stopped) -> Result<()>,
) -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let (alone, quiet) = start(name)?;
    let alone = match starts {
        Starts::Before => Some(alone),
        Starts::Beside => alone.stop().map(|_| None)?,
    };
    let Some(attack) = Attack::begin(name)? else {
        return skip("nobody may make a user namespace here");
    };
    let (mut whydrop, ready) = match alone {
        Some(whydrop) => (whydrop, quiet),
        None => start(name)?,
    };
    let truth = Truth::begin(wire.netns())?;
    let peer = wire.peer(Family::V4, listener.port());
    let (began, takes) = (Instant::now(), takes()?);
    let mut every = Every::new(EVERY);
    let mut refused = 0_u64;
    while began.elapsed() < takes {
        if every.is_due() {
            peer.syn()?;
            refused += 1;
        }
        rest(EVERY / 4)?;
    }
    let netns = wire.netns();
    // What is lost, because the attack has filled the ring, does not come.
    let end = Instant::now() + LATE;
    while whydrop.lines.overflows(netns.inum()) < refused && Instant::now() < end {
        rest(EVERY)?;
        whydrop.lines.read()?;
    }
    let (rss, _) = memory_kib(whydrop.pid())?;
    let (stopped, lines, ended) = whydrop.stop()?;
    attack.end()?;
    let summary = stopped.summary()?;
    say(format_args!(
        "ATTACK {name} quiet={quiet:.2?} ready={ready:.2?} ended={ended:.2?} rss_kib={rss} refused={refused} told={} overflow={} loss={}",
        lines.overflows(netns.inum()),
        summary["events"]["overflow"],
        summary["loss"]
    ))?;
    stopped.ended_well()?;
    truth.check_rows(netns, &stopped, fills == Fills::Ring)?;
    let row = row(&stopped, netns, "ListenOverflows")?.context("no row of the host")?;
    ensure!(row.kernel == refused, "{refused} were sent, and {row:?}");
    let told = lines.overflows(netns.inum());
    ensure!(told == row.seen && told > 0, "{told} lines, and {row:?}");
    ensure!(
        ready <= quiet * 3 + scaled(READY),
        "ready after {ready:?}, and {quiet:?} where nothing happened"
    );
    ensure!(ended <= scaled(ENDED), "its end took {ended:?}");
    ensure!(rss <= MEMORY_AT_MOST_KIB, "it took {rss} KiB");
    check(&stopped)
}

/// The summary counts the listener of the host by itself, whatever others had before.
fn ensure_listener_has_a_row(stopped: &Stopped) -> Result<()> {
    let summary = stopped.summary()?;
    let rows = summary["listeners"].as_array().context("no listeners")?;
    ensure!(!rows.is_empty(), "no row of any listener");
    Ok(())
}

/// No namespace can have counted less than nothing.
fn ensure_no_row_is_impossible(stopped: &Stopped) -> Result<()> {
    let rows = stopped.summary()?["reconciliation"].as_array();
    let is_impossible = |row: &&serde_json::Value| row["unattributed"].as_i64().unwrap_or(0) < 0;
    let impossible = rows.context("no rows")?.iter().find(is_impossible);
    ensure!(impossible.is_none(), "{impossible:?}");
    let mut residuals = stopped
        .others
        .iter()
        .filter(|line| line["type"] == "residual");
    let negative = residuals.find(is_impossible);
    ensure!(negative.is_none(), "{negative:?}");
    Ok(())
}

#[test]
fn listeners_one_after_the_other() -> Result<()> {
    beside(
        "listeners",
        Starts::Before,
        Fills::Ring,
        ensure_listener_has_a_row,
    )
}

#[test]
fn namespaces_one_after_the_other() -> Result<()> {
    beside(
        "namespaces",
        Starts::Before,
        Fills::Nothing,
        ensure_no_row_is_impossible,
    )
}

#[test]
fn numbers_that_are_used_again() -> Result<()> {
    beside(
        "numbers",
        Starts::Before,
        Fills::Nothing,
        ensure_no_row_is_impossible,
    )
}

#[test]
fn many_namespaces_that_stay() -> Result<()> {
    beside("many", Starts::Beside, Fills::Nothing, |_| Ok(()))
}

#[test]
fn pipes_in_the_place_of_namespaces() -> Result<()> {
    beside("pipes", Starts::Before, Fills::Ring, |_| Ok(()))
}

#[test]
fn segments_with_any_flags() -> Result<()> {
    beside("garbage", Starts::Before, Fills::Ring, |_| Ok(()))
}

#[test]
fn thousands_of_descriptors() -> Result<()> {
    beside("descriptors", Starts::Before, Fills::Nothing, |_| Ok(()))
}

#[test]
fn a_flood_of_many_listeners() -> Result<()> {
    beside("flood", Starts::Beside, Fills::Ring, |_| Ok(()))
}
