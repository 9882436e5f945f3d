//! Figures for the documentation, not judgements: run by hand with
//! `cargo test -p whydrop-tests --test scenarios --release -- --ignored --nocapture measure`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{Timespec, poll};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use whydrop_tests::family::Family;
use whydrop_tests::flood::{Flood, clients};
use whydrop_tests::listener::Listener;
use whydrop_tests::whydrop::Watch;
use whydrop_tests::wire::Wire;

fn mono_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn percentile(sorted: &[i64], percent: usize) -> i64 {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// Memory of a process that lives, in KiB: now and at its peak.
fn memory_kib(pid: u32) -> Result<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok())
            .with_context(|| format!("no {name} in the status of {pid}"))
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
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
    let pause = Timespec {
        tv_sec: 0,
        tv_nsec: every.as_nanos() as i64,
    };
    for _ in 0..events {
        wire.peer(Family::V4, listener.port()).syn()?;
        poll(&mut [], Some(&pause))?;
    }
    wire.barrier()?;
    let (now, peak) = memory_kib(child.id())?;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
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

/// How fast a full listener refuses, without whydrop and with it.
#[test]
#[ignore = "prints figures"]
fn flood_rates() -> Result<()> {
    const SYNS: usize = 1_000_000;
    for threads in [1, 2] {
        for watched in [false, true] {
            let wire = Wire::new()?;
            let listener = wire.full_listener()?;
            let flood = Flood {
                clients: clients(64, 16),
                to: listener.address(),
                syns: SYNS,
                limit: Duration::from_secs(60),
                threads,
            };
            let flood = flood.ready(&wire)?;
            let whydrop = match watched {
                true => Some(Watch::new().keeping(&[]).start()?),
                false => None,
            };
            let sent = flood.run(&AtomicBool::new(false))?;
            println!(
                "MEASURED {threads} threads, {}: {:.0} SYN/s",
                if watched { "watched" } else { "alone" },
                sent.syns_per_second()
            );
            if let Some(whydrop) = whydrop {
                whydrop.stop()?;
            }
        }
    }
    Ok(())
}
