//! One whydrop beside everything that comes and goes on a host: listeners, namespaces, cgroups, processes, clients, floods and
//! signals. All the time what it says adds up for namespaces that live, nothing of it grows, and nothing stays behind.
//! `cargo xtask soak` asks for it; `WHYDROP_SOAK_SECONDS` is for how long.

mod load;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use whydrop_tests::bpf;
use whydrop_tests::deadline::scaled;
use whydrop_tests::filed::Filed;
use whydrop_tests::log::say;
use whydrop_tests::netns::Netns;
use whydrop_tests::process::memory_kib;
use whydrop_tests::steady::rest;
use whydrop_tests::truth::{RECONCILED, Truth};
use whydrop_tests::whydrop::Watch;

use self::load::Load;

/// Where nobody says for how long.
const TAKES: Duration = Duration::from_secs(20);

/// Between two summaries that are asked for.
const EVERY: Duration = Duration::from_secs(2);

/// Between two files: with each summary, a few MiB.
const ROTATES_EVERY: u32 = 5;

/// Until then what is kept of everything has come to what it stays: 16,384 stories, mostly.
const WARM: Duration = Duration::from_mins(4);

/// What memory may differ by after that: allocators do not give everything back.
const GROWTH_KIB: u64 = 8 << 10;

/// What it may take at all.
const MEMORY_AT_MOST_KIB: u64 = 112 << 10;

/// Of sockets in namespaces that are asked there are 128 at most for whoever asks: events, and looks.
const DESCRIPTORS: u64 = 320;

const THREADS: u64 = 12;

/// What is seen of it from outside.
#[derive(Clone, Copy, Debug)]
struct Size {
    rss_kib: u64,
    descriptors: u64,
    threads: u64,
}

impl Size {
    fn of(pid: u32) -> Result<Self> {
        let entries = |name: &str| -> Result<u64> {
            Ok(std::fs::read_dir(format!("/proc/{pid}/{name}"))?.count() as u64)
        };
        Ok(Self {
            rss_kib: memory_kib(pid)?.0,
            descriptors: entries("fd")?,
            threads: entries("task")?,
        })
    }

    fn ensure_flat(self, warm: Self) -> Result<()> {
        ensure!(
            self.rss_kib <= MEMORY_AT_MOST_KIB.min(warm.rss_kib + GROWTH_KIB)
                && self.descriptors <= DESCRIPTORS
                && self.threads <= THREADS,
            "it was {warm:?} when it was warm, and is {self:?}"
        );
        Ok(())
    }
}

fn takes() -> Result<Duration> {
    match std::env::var("WHYDROP_SOAK_SECONDS") {
        Ok(seconds) => Ok(Duration::from_secs(seconds.parse()?)),
        Err(_) => Ok(TAKES),
    }
}

/// A namespace that lives, and what had been counted there before.
struct Watched<'a> {
    netns: &'a Netns,
    truth: Truth,
}

impl Watched<'_> {
    /// Between what was counted `before` it was asked for and what is by now, and each of it seen, left out or lost.
    fn check(&self, summary: &Value, before: &[u64]) -> Result<u64> {
        let now = self.counted()?;
        let mut moving = 0;
        for (slot, counter) in RECONCILED.iter().enumerate() {
            let Some(row) = whydrop_tests::truth::find_row(summary, self.netns.inum(), counter)
            else {
                // It has not moved, or nothing is said of it.
                ensure!(before[slot] == 0, "no row of {counter}: {}", before[slot]);
                continue;
            };
            let number = |name: &str| row[name].as_i64();
            let (Some(kernel), Some(unattributed)) = (number("kernel"), number("unattributed"))
            else {
                moving += 1;
                ensure!(summary["moving"] == true, "{row}: {summary}");
                continue;
            };
            let parts = ["seen", "sampled", "lost"].map(|name| number(name).unwrap_or(-1));
            let kernel_says = kernel as u64;
            ensure!(
                (before[slot]..=now[slot]).contains(&kernel_says),
                "{counter} was {} and is {}: {row}",
                before[slot],
                now[slot]
            );
            let is_settled = summary["moving"] != true;
            // What moves while it is read may be in one and not yet in the other.
            let most = if is_settled {
                0
            } else {
                now[slot] - before[slot]
            };
            let over = kernel - parts.iter().sum::<i64>();
            ensure!(
                over == unattributed && over.unsigned_abs() <= most,
                "{row} does not add up; {most} came meanwhile"
            );
            moving += u64::from(!is_settled);
        }
        Ok(moving)
    }

    fn counted(&self) -> Result<Vec<u64>> {
        let moved = self.truth.moved(self.netns)?;
        Ok(RECONCILED.iter().map(|name| moved.get(name)).collect())
    }
}

#[test]
#[ignore = "it takes minutes: cargo xtask soak"]
fn everything_comes_and_goes() -> Result<()> {
    let load = Load::new()?;
    let watch = Watch::new().args(["--stories", "--stats", "1s", "--warn", "80%"]);
    let mut whydrop = Filed::start("soak", watch)?;
    let programs = bpf::programs_of(whydrop.pid())?;
    let watched = load.namespaces().map(|netns| {
        let truth = Truth::begin(netns)?;
        anyhow::Ok(Watched { netns, truth })
    });
    let watched = watched.collect::<Result<Vec<_>>>()?;
    let ended = load.beside(|| soak(&mut whydrop, &watched))?;
    let sizes = ended?;
    let (stopped, _, took) = whydrop.stop()?;
    stopped.ended_well()?;
    let summary = stopped.summary()?;
    for one in &watched {
        one.truth.check_rows(one.netns, &stopped, true)?;
    }
    bpf::wait_gone(&programs)?;
    say(format_args!(
        "SOAK ended={took:.1?} first={:?} last={:?} events={} loss={} skipped={}",
        sizes.0, sizes.1, summary["events"], summary["loss"], summary["skipped"]
    ))?;
    ensure!(
        took <= scaled(Duration::from_secs(5)),
        "its end took {took:?}"
    );
    ensure_room(summary)
}

/// No map is full, ever. Where others take the processor for seconds, as a ring that was full tells, what came meanwhile may have
/// found no room for a row of its own.
fn ensure_room(summary: &Value) -> Result<()> {
    let number = |name: &str| summary["loss"][name].as_u64().context("no number");
    let is_starved = number("ring_full")? > 0;
    let always = ["sums_full", "undecodable", "unreadable"];
    let with_time = ["counts_full", "stats_full"];
    for name in always
        .iter()
        .chain(with_time.iter().filter(|_| !is_starved))
    {
        let n = number(name)?;
        ensure!(n == 0, "{name} is {n}: {}", summary["loss"]);
    }
    Ok(())
}

/// Asks again and again, until the time is over; how large it was when it was warm, and at the end.
fn soak(whydrop: &mut Filed, watched: &[Watched<'_>]) -> Result<(Size, Size)> {
    let (began, takes) = (Instant::now(), takes()?);
    let (mut round, mut warm) = (0_u32, Size::of(whydrop.pid())?);
    while began.elapsed() < takes {
        rest(EVERY)?;
        round += 1;
        let before = watched.iter().map(Watched::counted);
        let before = before.collect::<Result<Vec<_>>>()?;
        whydrop.signal(Signal::USR1)?;
        let limit = scaled(Duration::from_secs(10));
        let mut lines = whydrop
            .lines
            .wait("an interim summary", limit, |line| line["interim"] == true)?;
        let summary = lines.pop().context("no summary")?;
        let mut moving = 0;
        for (one, before) in watched.iter().zip(&before) {
            moving += one.check(&summary, before)?;
        }
        let size = Size::of(whydrop.pid())?;
        if began.elapsed() <= WARM {
            warm.rss_kib = size.rss_kib.max(warm.rss_kib);
        }
        say(format_args!(
            "SOAK {:.0} s {size:?} moving={moving} rows={} listeners={} loss={}",
            began.elapsed().as_secs_f64(),
            count(&summary["reconciliation"]),
            count(&summary["listeners"]),
            summary["loss"]
        ))?;
        size.ensure_flat(warm)?;
        if round.is_multiple_of(ROTATES_EVERY) {
            whydrop.rotate()?;
        }
    }
    ensure!(round > 0, "too short: {takes:?}");
    Ok((warm, Size::of(whydrop.pid())?))
}

fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}
