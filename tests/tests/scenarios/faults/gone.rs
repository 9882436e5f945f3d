//! What ended between an event and the question about it: a namespace, a
//! listener, a process. whydrop is suspended meanwhile, so that it must ask
//! too late.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use whydrop_tests::deadline::{soon, wait_until};
use whydrop_tests::event::{Event, overflow_in};
use whydrop_tests::family::Family;
use whydrop_tests::holder::Holder;
use whydrop_tests::listener::{Listener, Options};
use whydrop_tests::truth::{Truth, find_row};
use whydrop_tests::whydrop::Whydrop;
use whydrop_tests::wire::Wire;

#[test]
fn namespace_that_ends() -> Result<()> {
    const SYNS: u64 = 20;
    let stays = Wire::new()?;
    let ends = Wire::new()?;
    let inum = ends.netns().inum();
    let whydrop = Whydrop::start()?;
    let truth = Truth::begin(stays.netns())?;
    for wire in [&stays, &ends] {
        let listener = wire.full_listener()?;
        for _ in 0..SYNS {
            wire.peer(Family::V4, listener.port()).syn()?;
        }
    }
    let ended = overflow_in(ends.netns());
    drop(ends);
    let events = whydrop.wait_events(SYNS as usize, "overflows", &ended)?;
    whydrop.wait_events(SYNS as usize, "overflows", overflow_in(stays.netns()))?;
    let stopped = whydrop.stop()?;

    truth.check(stays.netns(), &stopped)?;
    ensure!(events.len() as u64 == SYNS, "{} events", events.len());
    let summary = stopped.summary()?;
    let row = find_row(summary, inum, "ListenOverflows").context("no row of what ended")?;
    ensure!(
        row["kernel"].is_null() && row["unattributed"].is_null(),
        "the kernel's count cannot be known: {row}"
    );
    ensure!(row["seen"] == SYNS && row["lost"] == 0, "{row}");
    Ok(())
}

#[test]
fn listener_that_is_closed() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Whydrop::start()?;
    let truth = Truth::begin(wire.netns())?;
    let listener = wire.full_listener()?;
    let address = listener.address();
    whydrop.suspend()?;
    wire.peer(Family::V4, listener.port()).syn()?;
    drop(listener);
    whydrop.resume()?;
    let event = last_overflow(&whydrop, &wire, 1)?;
    truth.check(wire.netns(), &whydrop.stop()?)?;
    check_nothing_known(&event, address)
}

/// The only process that had the listener, which ends with it. Another
/// listener takes its place: it is not the one that refused.
#[test]
fn process_that_dies() -> Result<()> {
    dies_and_is_replaced(|whydrop, wire, port, owner| {
        overflows_until_known(whydrop, wire, port, &[owner])
    })
}

/// The same, with a listener that whydrop has not met before.
#[test]
fn process_that_dies_at_its_first_refusal() -> Result<()> {
    dies_and_is_replaced(|_, _, _, _| Ok(0))
}

/// `meet` says how many refusals it took to know the listener.
fn dies_and_is_replaced(meet: impl Fn(&Whydrop, &Wire, u16, u64) -> Result<usize>) -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Whydrop::start()?;
    let truth = Truth::begin(wire.netns())?;
    let options = Options {
        listen_backlog: 1,
        no_cookie: true,
        ..Options::default()
    };
    let listener = Listener::with(wire.netns(), Family::V4.bind(), options)?;
    wire.fill(&listener)?;
    let (address, port) = (listener.address(), listener.port());
    let holder = Holder::of(&listener)?;
    drop(listener);
    let told = meet(&whydrop, &wire, port, holder.pid())?;

    whydrop.suspend()?;
    wire.peer(Family::V4, port).syn()?;
    drop(holder);
    let options = Options { port, ..options };
    let _successor = Listener::with(wire.netns(), Family::V4.bind(), options)?;
    whydrop.resume()?;
    let event = last_overflow(&whydrop, &wire, told + 1)?;
    truth.check(wire.netns(), &whydrop.stop()?)?;
    check_nothing_known(&event, address)
}

/// One of two processes that share the listener.
#[test]
fn one_of_two_owners_dies() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Whydrop::start()?;
    let truth = Truth::begin(wire.netns())?;
    let listener = wire.full_listener()?;
    let holder = Holder::of(&listener)?;
    let us = u64::from(std::process::id());
    let mut both = [us, holder.pid()];
    both.sort_unstable();
    let told = overflows_until_known(&whydrop, &wire, listener.port(), &both)?;

    whydrop.suspend()?;
    wire.peer(Family::V4, listener.port()).syn()?;
    drop(holder);
    whydrop.resume()?;
    let event = last_overflow(&whydrop, &wire, told + 1)?;
    truth.check(wire.netns(), &whydrop.stop()?)?;
    ensure!(event.owner_pids() == [us], "only {us} is left: {event}");
    Ok(())
}

/// Refusals until the owners of the listener are told, and how many that took:
/// scans of /proc are rare, so the first may have come between two of them.
fn overflows_until_known(
    whydrop: &Whydrop,
    wire: &Wire,
    port: u16,
    owners: &[u64],
) -> Result<usize> {
    let mut sent = 0;
    wait_until("the owners", soon(), || {
        wire.peer(Family::V4, port).syn()?;
        sent += 1;
        let told = last_overflow(whydrop, wire, sent)?.owner_pids();
        ensure!(
            told.is_empty() || told == owners,
            "{told:?} instead of {owners:?}"
        );
        Ok(!told.is_empty())
    })?;
    Ok(sent)
}

/// The n-th overflow of the namespace.
fn last_overflow(whydrop: &Whydrop, wire: &Wire, n: usize) -> Result<Event> {
    let mut events = whydrop.wait_events(n, "overflows", overflow_in(wire.netns()))?;
    ensure!(events.len() == n, "{} overflows of {n}", events.len());
    events.pop().context("no overflow")
}

/// Where the listener was, and no more: no snapshot, with a reason, and so no owner.
fn check_nothing_known(event: &Event, address: SocketAddr) -> Result<()> {
    ensure!(
        event.listener_address() == Some(address),
        "the listener was at {address}: {event}"
    );
    let why = event.0["no_snapshot"].as_str().unwrap_or_default();
    ensure!(
        event.0["snapshot"].is_null() && why.contains("closed"),
        "a snapshot of what was closed: {event}"
    );
    ensure!(
        event.owners().is_empty(),
        "an owner of what was closed: {event}"
    );
    Ok(())
}
