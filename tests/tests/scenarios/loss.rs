//! A reader that is too slow loses detail, never the count; and two tracers at
//! once do not take each other's events.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use whydrop_tests::family::Family;
use whydrop_tests::listener::Listener;
use whydrop_tests::paths;
use whydrop_tests::truth::{Truth, row};
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

use crate::traced::{check_events, wait_for};

/// whydrop is stopped while more happens than its ring can hold.
#[test]
fn loss_is_reported() -> Result<()> {
    const SYNS: u64 = 2000;
    let wire = Wire::new()?;
    let netns = wire.netns();
    let whydrop = Watch::new()
        .args(["--ring-bytes", "4096", "--detail", "all"])
        .start()?;
    let truth = Truth::begin(netns)?;
    let listener = Listener::new(netns, Family::V4.bind(), 1)?;
    for _ in 0..2 {
        wire.peer(Family::V4, listener.port()).handshake()?;
    }
    whydrop.signal(Signal::STOP)?;
    let peer = wire.peer(Family::V4, listener.port());
    for _ in 0..SYNS {
        peer.syn()?;
    }
    whydrop.signal(Signal::CONT)?;
    whydrop.wait_events(1, "overflows", |event| {
        event.listener_cookie() == Some(listener.cookie())
    })?;
    let stopped = whydrop.stop()?;

    stopped.ended_well()?;
    truth.check_rows(netns, &stopped, true)?;
    let overflows =
        row(&stopped, netns, "ListenOverflows")?.context("no row for ListenOverflows")?;
    ensure!(overflows.kernel == SYNS, "the kernel dropped {overflows:?}");
    ensure!(
        overflows.lost > 0,
        "4096 bytes cannot hold {SYNS} events: {overflows:?}"
    );
    let shown = stopped
        .events_in(netns.inum())
        .filter(|event| event.is("overflow"))
        .count() as u64;
    ensure!(shown == overflows.seen, "{shown} lines, but {overflows:?}");
    ensure!(
        stopped.summary()?["lost"].as_u64() >= Some(overflows.lost),
        "the summary hides the loss"
    );
    ensure!(
        stopped.others.iter().any(|line| line["type"] == "loss"),
        "no line about the loss"
    );
    Ok(())
}

#[test]
fn a_second_whydrop_counts_the_same() -> Result<()> {
    let wire = Wire::new()?;
    let both = [Whydrop::start()?, Whydrop::start()?];
    let truth = Truth::begin(wire.netns())?;
    let expected = paths::syn_overflow(&wire, Family::V6)?;
    for whydrop in both {
        wait_for(&whydrop, &wire, &expected)?;
        let stopped = whydrop.stop()?;
        truth.check(wire.netns(), &stopped)?;
        check_events(&wire, &expected, &stopped)?;
    }
    Ok(())
}
