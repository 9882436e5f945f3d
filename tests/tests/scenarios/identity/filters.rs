//! Only what was asked for has a line; everything is counted and reconciled.

use anyhow::{Context, Result, ensure};
use whydrop_tests::family::Family;
use whydrop_tests::heard::Stopped;
use whydrop_tests::holder::{Birth, Holder};
use whydrop_tests::listener::Listener;
use whydrop_tests::paths;
use whydrop_tests::truth::{Truth, row};
use whydrop_tests::whydrop::Watch;
use whydrop_tests::wire::Wire;

/// Overflows that were counted in the summary's `events`.
fn overflows(stopped: &Stopped) -> Result<u64> {
    Ok(stopped.summary()?["events"]["overflow"]
        .as_u64()
        .unwrap_or(0))
}

/// Two listeners, each of a process of its own: only that of the first is
/// shown and has a row, and the kernel's count is accounted for all the same.
fn check_owner(asked: impl Fn(&Holder) -> Vec<String>) -> Result<()> {
    let wire = Wire::new()?;
    let listeners = [wire.full_listener()?, wire.full_listener()?];
    let named = |listener: &Listener, comm| {
        let birth = Birth {
            comm: Some(comm),
            ..Birth::default()
        };
        Holder::born(listener, birth)
    };
    let first = named(&listeners[0], c"asked-for")?;
    let _second = named(&listeners[1], c"another")?;
    let [first_port, second_port] = [0, 1].map(|n: usize| listeners[n].port());
    let cookie = listeners[0].cookie();
    drop(listeners);
    let netns = wire.netns();
    let whydrop = Watch::new()
        .args(["--netns".to_owned(), netns.pid().to_string()])
        .args(asked(&first))
        .start()?;
    let truth = Truth::begin(netns)?;
    for port in [second_port, first_port, second_port] {
        wire.peer(Family::V4, port).syn()?;
    }
    whydrop.wait_events(1, "overflows", |event| {
        event.listener_cookie() == Some(cookie)
    })?;
    let stopped = whydrop.stop()?;
    truth.check_rows(netns, &stopped, false)?;
    let shown: Vec<_> = stopped.events_in(netns.inum()).collect();
    ensure!(shown.len() == 1, "not one alone: {shown:?}");
    ensure!(overflows(&stopped)? == 1, "{}", stopped.summary()?);
    let rows = stopped.summary()?["listeners"].as_array();
    let rows = rows.context("no rows")?;
    ensure!(rows.len() == 1, "not one alone: {rows:?}");
    let seen = row(&stopped, netns, "ListenOverflows")?
        .context("no row")?
        .seen;
    ensure!(seen == 3, "{seen} of 3 were seen");
    Ok(())
}

#[test]
fn only_the_asked_process() -> Result<()> {
    check_owner(|first| vec!["--pid".into(), first.pid().to_string()])
}

#[test]
fn only_the_asked_name() -> Result<()> {
    check_owner(|_| {
        ["--comm", "nobody", "--comm", "asked-for"]
            .map(Into::into)
            .into()
    })
}

#[test]
fn only_the_asked_client() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let peers = [0; 3].map(|_| wire.peer(Family::V4, listener.port()));
    let asked = peers[1].client;
    let whydrop = Watch::new()
        .args(["--client".to_owned(), asked.ip().to_string()])
        .args(["--client", "192.0.2.0/24"])
        .start()?;
    for peer in &peers {
        peer.syn()?;
    }
    whydrop.wait_events(1, "overflows", |event| event.client() == Some(asked))?;
    let stopped = whydrop.stop()?;
    let shown: Vec<_> = stopped.events_in(wire.netns().inum()).collect();
    ensure!(shown.len() == 1, "not one alone: {shown:?}");
    let rows = stopped.summary()?["listeners"].as_array();
    let mut rows = rows.into_iter().flatten();
    ensure!(
        rows.any(|row| row["events"]["overflow"] == 3),
        "the row is of all clients: {}",
        stopped.summary()?
    );
    Ok(())
}

#[test]
fn only_the_asked_cause() -> Result<()> {
    let wire = Wire::new()?;
    let netns = wire.netns();
    let whydrop = Watch::new()
        .args(["--netns".to_owned(), netns.pid().to_string()])
        .args(["--cause", "syn-queue-full"])
        .start()?;
    let truth = Truth::begin(netns)?;
    let another = paths::syn_overflow(&wire, Family::V4)?;
    let _asked = paths::request_drop(&wire, Family::V4)?;
    whydrop.wait_events(1, "request drops", |event| event.is("request-drop"))?;
    let stopped = whydrop.stop()?;
    truth.check_rows(netns, &stopped, false)?;
    ensure!(
        another.counter("ListenOverflows") > 0,
        "nothing to leave out"
    );
    let other = stopped
        .events
        .iter()
        .find(|event| event.cause() != Some("syn-queue-full"));
    ensure!(other.is_none(), "of another cause: {other:?}");
    ensure!(overflows(&stopped)? == 0, "{}", stopped.summary()?);
    Ok(())
}
