//! The same on a host with nothing on it and on one with 1,000 listeners and 20,000 connections.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use whydrop_tests::crowd::Crowd;
use whydrop_tests::listener::Listener;
use whydrop_tests::log::say_figure;
use whydrop_tests::process;
use whydrop_tests::steady::rest;
use whydrop_tests::whydrop::Whydrop;
use whydrop_tests::wire::Wire;

use super::{middle, syns};

const LISTENERS: u16 = 1_000;
const CONNECTIONS: usize = 20_000;
const STARTS: usize = 5;
const EVENTS: u32 = 500;
/// Longer than one snapshot serves: each event has its own.
const APART: Duration = Duration::from_millis(10);

/// What the questions cost that whydrop asks, by its own bench (probe-user/benches/host.rs).
fn questions(wire: &Wire, listener: &Listener) -> Result<[f64; 3]> {
    let bench = std::env::var_os("WHYDROP_HOST_BENCH")
        .context("WHYDROP_HOST_BENCH names no bench; `cargo xtask bench` builds it")?;
    let (pid, port) = (wire.netns().pid(), listener.port());
    let output = Command::new(&bench)
        .args([pid.to_string(), port.to_string()])
        .output()
        .with_context(|| format!("start {}", bench.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = said.split_whitespace().collect();
    let ["snapshot", snapshot, "listing", listing, "owners", owners] = words[..] else {
        let stderr = String::from_utf8_lossy(&output.stderr);
        anyhow::bail!("{} says no figures: {said}{stderr}", bench.display());
    };
    Ok([snapshot.parse()?, listing.parse()?, owners.parse()?])
}

/// CPU time of the process for each of some refusals that share nothing.
fn events(whydrop: Whydrop, wire: &Wire, syns: &[Vec<u8>]) -> Result<f64> {
    let before = process::cpu(whydrop.pid())?;
    for syn in syns.iter().cycle().take(EVENTS as usize) {
        wire.write(syn)?;
        rest(APART)?;
    }
    let took = process::cpu(whydrop.pid())?.saturating_sub(before);
    let seen = whydrop.wait_events(EVENTS as usize, "refusals", |event| event.is("overflow"))?;
    let own = seen.iter().filter(|event| {
        let snapshot = &event.0["snapshot"];
        snapshot.is_object() && snapshot["shared"] == false
    });
    ensure!(
        own.count() * 10 >= seen.len() * 9,
        "these events share their snapshots"
    );
    whydrop.stop()?.ended_well()?;
    Ok(took.as_nanos() as f64 / f64::from(EVENTS))
}

/// The figures of the host as it is now.
fn host(wire: &Wire, full: &Listener) -> Result<String> {
    let (mut ms, mut kib) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let began = Instant::now();
        let whydrop = Whydrop::start()?;
        ms.push(began.elapsed().as_secs_f64() * 1e3);
        kib.push(process::memory_kib(whydrop.pid())?.0 as f64);
        whydrop.stop()?.ended_well()?;
    }
    let [ms, kib] = [ms, kib].map(middle);
    let event = events(Whydrop::start()?, wire, &syns(full))?;
    let [snapshot, listing, owners] = questions(wire, full)?;
    Ok(format!(
        "{ms:.0} {kib:.0} {event:.0} {snapshot:.0} {listing:.0} {owners:.0}"
    ))
}

#[test]
#[ignore = "prints figures"]
fn empty_and_crowded() -> Result<()> {
    let wire = Wire::new()?;
    let full = wire.full_listener()?;
    say_figure(format_args!("host 0 0 {}", host(&wire, &full)?))?;
    let _crowd = Crowd::gather(wire.netns(), LISTENERS, CONNECTIONS)?;
    let figures = host(&wire, &full)?;
    say_figure(format_args!("host {LISTENERS} {CONNECTIONS} {figures}"))
}
