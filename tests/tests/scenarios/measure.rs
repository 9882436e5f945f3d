//! Figures for the documentation, not judgements: run by hand with
//! `cargo test -p whydrop-tests --test scenarios --release -- --ignored --nocapture measure`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use whydrop_tests::family::Family;
use whydrop_tests::flood::{self, clients};
use whydrop_tests::listener::Listener;
use whydrop_tests::steady::{Steady, rest};
use whydrop_tests::whydrop::Watch;
use whydrop_tests::wire::Wire;
use whydrop_tests::{process, programs};

fn mono_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn percentile(sorted: &[i64], percent: usize) -> i64 {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// Time from the kernel's decision to the line in the reader's hands.
fn latency(events: usize, every: Duration) -> Result<()> {
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), 1)?;
    let began = Instant::now();
    let mut child = Watch::new().command()?.stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
    lines.next().context("no readiness line")??;
    let ready = began.elapsed();
    for _ in 0..2 {
        wire.peer(Family::V4, listener.port()).handshake()?;
    }
    let reader = std::thread::spawn(move || -> Result<Vec<i64>> {
        let mut took = Vec::new();
        for line in lines {
            let line = line?;
            let now = mono_ns();
            let line: Value = serde_json::from_str(&line)?;
            if line["kind"] == "overflow" {
                took.push(now - line["mono_ns"].as_i64().context("no mono_ns")?);
            }
            if line["type"] == "summary" {
                break;
            }
        }
        Ok(took)
    });
    for _ in 0..events {
        wire.peer(Family::V4, listener.port()).syn()?;
        rest(every)?;
    }
    wire.barrier()?;
    let (now, peak) = process::memory_kib(child.id())?;
    process::signal(child.id(), rustix::process::Signal::INT)?;
    let mut took = reader
        .join()
        .map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    child.wait()?;
    ensure!(took.len() == events, "{} of {events} lines", took.len());
    took.sort_unstable();
    println!(
        "MEASURED {:.0} events/s: event to line p50 {} µs, p99 {} µs; start to ready {} ms; RSS {now} KiB, peak {peak} KiB",
        1.0 / every.as_secs_f64(),
        percentile(&took, 50) / 1000,
        percentile(&took, 99) / 1000,
        ready.as_millis(),
    );
    Ok(())
}

#[test]
#[ignore = "prints figures"]
fn latency_at_ten_a_second() -> Result<()> {
    latency(100, Duration::from_millis(100))
}

#[test]
#[ignore = "prints figures"]
fn latency_at_a_thousand_a_second() -> Result<()> {
    latency(5000, Duration::from_millis(1))
}

/// Refusals at a steady rate, watched with these arguments.
fn cost(arguments: &[&str]) -> Result<()> {
    const REFUSALS: Steady = Steady {
        rate: 10_000,
        seconds: 10,
    };
    let _counting = programs::count()?;
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let syns = flood::syns(&clients(64, 160), listener.address());
    let whydrop = Watch::new().args(arguments).keeping(&[]).start()?;
    let before = programs::cpu(whydrop.pid())?;
    let took = REFUSALS.send(&wire, &syns)?;
    let after = programs::cpu(whydrop.pid())?;
    let (_, peak) = process::memory_kib(whydrop.pid())?;
    let stopped = whydrop.stop()?;
    let events = f64::from(REFUSALS.packets());
    let each = |of: Duration| of.as_secs_f64() * 1e6 / events;
    println!(
        "MEASURED {:.0} refusals/s, watch {}: process {:.2} µs, programs {:.2} µs each; {:.1} % of a CPU; peak {peak} KiB; lost {}",
        events / took.as_secs_f64(),
        arguments.join(" "),
        each(after.0.saturating_sub(before.0)),
        each(after.1.saturating_sub(before.1)),
        100.0 * after.0.saturating_sub(before.0).as_secs_f64() / took.as_secs_f64(),
        stopped.summary()?["lost"],
    );
    Ok(())
}

/// Alternating, so that what else the machine does falls on both.
#[test]
#[ignore = "prints figures"]
fn cost_of_stories() -> Result<()> {
    for _ in 0..3 {
        for arguments in [
            &["--detail=all"][..],
            &["--detail=all", "--stories"],
            &["--detail=auto"],
            &["--detail=auto", "--stories"],
        ] {
            cost(arguments)?;
        }
    }
    Ok(())
}
