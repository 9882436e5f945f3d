//! Hundreds of namespaces, in one of which something is refused all the time: whydrop reads each of them once at its start,
//! and only that one again. What it costs is compared with its start while nothing happens, in one run.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use whydrop_tests::{
    deadline::scaled, every::Every, family::Family, listener::Listener, netns::Netns,
    whydrop::Whydrop, wire::Wire,
};

const NAMESPACES: usize = 300;
const EVERY: Duration = Duration::from_millis(2);
const LIMIT: Duration = Duration::from_mins(1);

/// What a start costs, in ticks of the processor, until it is ready.
fn start() -> Result<u64> {
    let whydrop = Whydrop::start()?;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", whydrop.pid()))?;
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks = ticks.map(str::parse::<u64>);
    let ticks = ticks.sum::<std::result::Result<u64, _>>()?;
    whydrop.stop()?;
    Ok(ticks)
}

fn refuses_until(is_over: &AtomicBool, wire: &Wire, listener: &Listener) -> Result<()> {
    let deadline = Instant::now() + scaled(LIMIT);
    let peer = wire.peer(Family::V4, listener.port());
    let mut every = Every::new(EVERY);
    while !is_over.load(Ordering::Relaxed) && Instant::now() < deadline {
        if every.is_due() {
            peer.syn()?;
        }
        thread::yield_now();
    }
    Ok(())
}

#[test]
fn only_what_moves_is_read_again() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let _others: Vec<Netns> = (0..NAMESPACES)
        .map(|_| Netns::new())
        .collect::<Result<_>>()?;
    let quiet = start()?.min(start()?);
    let is_over = AtomicBool::new(false);
    let busy = thread::scope(|scope| {
        let refuses = scope.spawn(|| {
            let wire = wire;
            refuses_until(&is_over, &wire, &listener)
        });
        let busy = start().and_then(|one| Ok(one.min(start()?)));
        is_over.store(true, Ordering::Relaxed);
        refuses.join().map_err(|_| anyhow::anyhow!("panicked"))??;
        busy
    })?;
    ensure!(
        busy * 2 <= quiet * 3,
        "a start takes {busy} ticks while something is refused, {quiet} while nothing is"
    );
    Ok(())
}
