//! A SYN flood into a full accept queue, as fast as this machine makes one: without whydrop and with it, in turns, so
//! that what else the machine does falls on both.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use whydrop_tests::flood::{Flood, Flooded, clients};
use whydrop_tests::listener::Listener;
use whydrop_tests::log::say_figure;
use whydrop_tests::process;
use whydrop_tests::truth::{Truth, row};
use whydrop_tests::whydrop::Watch;
use whydrop_tests::wire::Wire;

use super::quick;

/// More than a thread has ever sent in a second.
const AT_MOST_PER_SECOND: usize = 4_000_000;
const THREADS: usize = 2;
const COUNTERS: [&str; 2] = ["ListenOverflows", "ListenDrops"];

struct Turns {
    count: usize,
    alone: Duration,
    watched: Duration,
}

fn turns() -> Turns {
    let (count, alone, watched) = if quick() {
        (7, 500, 500)
    } else {
        (2, 10_000, 30_000)
    };
    Turns {
        count,
        alone: Duration::from_millis(alone),
        watched: Duration::from_millis(watched),
    }
}

fn flood(wire: &Wire, to: &Listener, limit: Duration) -> Result<Flooded> {
    let flood = Flood {
        clients: clients(64, 16),
        to: to.address(),
        syns: AT_MOST_PER_SECOND * limit.as_secs().max(1) as usize,
        limit,
        threads: THREADS,
    };
    flood.ready(wire)?.run(&AtomicBool::new(false))
}

fn watched(wire: &Wire, to: &Listener, limit: Duration) -> Result<()> {
    let whydrop = Watch::new().keeping(&[]).start()?;
    let truth = Truth::begin(wire.netns())?;
    process::forget_peak(whydrop.pid())?;
    let before = process::cpu(whydrop.pid())?;
    let sent = flood(wire, to, limit)?;
    let cpu = process::cpu(whydrop.pid())?.saturating_sub(before);
    let (_, peak) = process::memory_kib(whydrop.pid())?;
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    say_figure(format_args!(
        "flood watched {} {} {} {} {peak}",
        sent.syns,
        sent.took.as_nanos(),
        sent.cpu.as_nanos(),
        cpu.as_nanos()
    ))?;
    let moved = truth.moved(wire.netns())?;
    for counter in COUNTERS {
        let row = row(&stopped, wire.netns(), counter)?;
        let row = row.with_context(|| format!("no row for {counter}"))?;
        say_figure(format_args!(
            "flood counter {counter} {} {} {} {} {} {}",
            moved.get(counter),
            row.kernel,
            row.seen,
            row.sampled,
            row.lost,
            row.unattributed
        ))?;
    }
    Ok(())
}

#[test]
#[ignore = "prints figures"]
fn syns_as_fast_as_they_come() -> Result<()> {
    let wire = Wire::new()?;
    wire.netns().sysctl("net/ipv4/tcp_syncookies", "0")?;
    let listener = wire.full_listener()?;
    let turns = turns();
    for _ in 0..turns.count {
        let sent = flood(&wire, &listener, turns.alone)?;
        say_figure(format_args!(
            "flood alone {} {} {}",
            sent.syns,
            sent.took.as_nanos(),
            sent.cpu.as_nanos()
        ))?;
        watched(&wire, &listener, turns.watched)?;
    }
    Ok(())
}
