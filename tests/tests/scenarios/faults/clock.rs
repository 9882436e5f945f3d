//! Clocks that are not what they were: the wall clock is set while whydrop watches (only in a VM of ours), and whydrop's
//! monotonic clock is that of a time namespace.

use std::{
    os::unix::process::CommandExt,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::fs::{Mode, OFlags, open};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use serde_json::Value;
use whydrop_tests::deadline::{scaled, wait_until};
use whydrop_tests::event::{Event, overflow_in};
use whydrop_tests::family::Family;
use whydrop_tests::skip::skip;
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Longer than this test takes, in seconds.
const SLACK: i64 = 600;

#[test]
fn wall_clock_that_is_set() -> Result<()> {
    if !std::fs::read_to_string("/proc/cmdline")?.contains("whydrop.tiers") {
        return skip("the clock of a machine that is no test VM stays as it is");
    }
    let wire = Wire::new()?;
    let whydrop = Whydrop::start()?;
    let truth = Truth::begin(wire.netns())?;
    let listener = wire.full_listener()?;
    let syn = || wire.peer(Family::V4, listener.port()).syn();
    let in_netns = overflow_in(wire.netns());
    syn()?;
    let before = &whydrop.wait_events(1, "overflows", &in_netns)?[0];

    let set = Set::ahead(HOUR)?;
    // It looks at the wall clock every second, and takes the next event by it.
    let mut sent = 1;
    wait_until(
        "a line with the new time",
        scaled(Duration::from_secs(10)),
        || {
            syn()?;
            sent += 1;
            let events = whydrop.wait_events(sent, "overflows", &in_netns)?;
            let later = events.last().context("no event")?;
            let by = (second_of_day(later)? - second_of_day(before)?).rem_euclid(DAY);
            Ok((HOUR..HOUR + SLACK).contains(&by))
        },
    )?;
    drop(set);
    let stopped = whydrop.stop()?;
    truth.check(wire.netns(), &stopped)?;
    check_order(stopped.events.iter().filter(|event| in_netns(event)))?;
    let duration = stopped.summary()?["duration_s"].as_f64();
    ensure!(
        duration.is_some_and(|duration| duration < SLACK as f64),
        "it ran for {duration:?} s"
    );
    Ok(())
}

/// Further ahead than a day.
const AHEAD: &[u8] = b"monotonic 300000 0\nboottime 300000 0\n";

#[test]
fn time_namespace() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let mut command = Watch::new().args(["--netns", &here]).command()?;
    let ahead = || {
        // SAFETY: a plain system call, which a child may make between fork and exec.
        let made = unsafe { libc::unshare(libc::CLONE_NEWTIME) } == 0;
        if !made {
            return Err(std::io::Error::last_os_error());
        }
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let offsets = open(c"/proc/self/timens_offsets", flags, Mode::empty())?;
        rustix::io::write(offsets, AHEAD)?;
        Ok(())
    };
    // SAFETY: what it does are system calls alone.
    unsafe { command.pre_exec(ahead) };
    let Ok(whydrop) = Whydrop::spawn(command) else {
        return skip("this kernel has no time namespaces");
    };
    let its = |name: &str| std::fs::read_link(format!("/proc/{}/ns/{name}", whydrop.pid()));
    whydrop.wait_line("readiness", |line| line["type"] == "start")?;
    let started = whydrop.readiness()?;
    if its("time")? != its("time_for_children")? {
        return skip("this kernel enters a time namespace at fork alone");
    }
    let listener = wire.full_listener()?;
    wire.peer(Family::V4, listener.port()).syn()?;
    let events = whydrop.wait_events(1, "overflow", overflow_in(wire.netns()))?;
    let [event] = &events[..] else {
        anyhow::bail!("{} events", events.len());
    };
    let lag = event.0["snapshot"]["lag_us"].as_u64();
    ensure!(
        lag.is_some_and(|lag| lag < SLACK as u64 * 1_000_000),
        "a lag of {lag:?}: {event}"
    );
    let day = |line: &Value| line["ts"].as_str().map(|ts| ts[..10].to_owned());
    let is_new_day = second_of_day(event)? < SLACK;
    ensure!(
        is_new_day || day(&started) == day(&event.0),
        "{event} after {started}"
    );
    whydrop.stop().map(drop)
}

/// One SYN after the other was sent, and so they are told.
fn check_order<'events>(events: impl Iterator<Item = &'events Event>) -> Result<()> {
    let mut last = 0;
    for event in events {
        let now = event.0["mono_ns"].as_u64().context("no mono_ns")?;
        ensure!(now > last, "{last} ns was before {event}");
        last = now;
    }
    Ok(())
}

/// Of `2026-01-02T03:04:05.678901Z`.
fn second_of_day(event: &Event) -> Result<i64> {
    let ts = event.0["ts"].as_str().context("no ts")?;
    let part = |from: usize| -> Result<i64> {
        let digits = ts.get(from..from + 2).context("too short")?;
        Ok(digits.parse()?)
    };
    let seconds = || anyhow::Ok(part(11)? * HOUR + part(14)? * 60 + part(17)?);
    seconds().with_context(|| format!("ts is {ts}"))
}

/// The wall clock ahead of its time, until this is dropped.
struct Set {
    right: Timespec,
    since: Instant,
}

impl Set {
    fn ahead(seconds: i64) -> Result<Self> {
        let (right, since) = (clock_gettime(ClockId::Realtime), Instant::now());
        let ahead = Timespec {
            tv_sec: right.tv_sec + seconds,
            ..right
        };
        clock_settime(ClockId::Realtime, ahead).context("set the clock")?;
        Ok(Self { right, since })
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        let now = Timespec {
            tv_sec: self.right.tv_sec + self.since.elapsed().as_secs() as i64,
            ..self.right
        };
        let _ = clock_settime(ClockId::Realtime, now);
    }
}
