//! Whose socket it was: the owner, the snapshot of the same socket, and which
//! one of several that look alike.

mod cgroups;
mod filters;
mod owners;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use whydrop_tests::event::{Event, overflow_in};
use whydrop_tests::family::Family;
use whydrop_tests::heard::Stopped;
use whydrop_tests::listener::{Listener, Options};
use whydrop_tests::paths::{self, Expected};
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

use crate::traced::{trace_with, wait_for};

#[test]
fn owner_is_this_process() -> Result<()> {
    let stopped = trace_with(Watch::new(), paths::syn_overflow, Family::V4)?;
    let comm = std::fs::read_to_string("/proc/self/comm")?
        .trim()
        .to_owned();
    let us = (u64::from(std::process::id()), comm);
    let event = stopped
        .events
        .iter()
        .find(|event| event.owners().contains(&us));
    let event = event.with_context(|| format!("{us:?} owns nothing in {:?}", stopped.events))?;
    ensure!(
        event.0["cgroup"]
            .as_str()
            .is_some_and(|path| path.starts_with('/')),
        "no cgroup path in {event}"
    );
    Ok(())
}

#[test]
fn snapshot_is_of_the_same_socket() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Whydrop::start()?;
    let expected = paths::syn_overflow(&wire, Family::Mapped)?;
    wait_for(&whydrop, &wire, &expected)?;
    let stopped = whydrop.stop()?;
    let listener = expected.listener.as_ref().context("no listener")?;
    for event in stopped
        .events_in(wire.netns().inum())
        .filter(|event| event.is("overflow"))
    {
        check_snapshot(event, listener).with_context(|| format!("in {event}"))?;
    }
    Ok(())
}

fn check_snapshot(event: &Event, listener: &Listener) -> Result<()> {
    ensure!(
        event.snapshot_cookie() == Some(listener.cookie()),
        "the cookie is {:#x}",
        listener.cookie()
    );
    ensure!(
        event.snapshot_cookie() == event.listener_cookie(),
        "two cookies"
    );
    ensure!(event.0["snapshot"]["state"] == "LISTEN", "not a listener");
    ensure!(
        event.number("snapshot", "accept_queue_limit")? == 2,
        "the limit is 2"
    );
    ensure!(
        event.number("snapshot", "accept_queue_len")? == 3,
        "three wait to be accepted"
    );
    ensure!(event.number("snapshot", "drops")? >= 1, "it has dropped");
    ensure!(
        event.number("snapshot", "inode")? == listener.inode()?,
        "the inode is {}",
        listener.inode()?
    );
    event.number("snapshot", "lag_us")?;
    Ok(())
}

/// The same port in two namespaces: each event is in the right one.
#[test]
fn two_namespaces_with_the_same_port() -> Result<()> {
    let wires = [Wire::new()?, Wire::new()?];
    let whydrop = Whydrop::start()?;
    let truths = [
        Truth::begin(wires[0].netns())?,
        Truth::begin(wires[1].netns())?,
    ];
    let mut listeners = Vec::new();
    for (wire, clients) in wires.iter().zip([2, 5]) {
        let options = Options {
            port: 8080,
            listen_backlog: 1,
            ..Options::default()
        };
        let listener = Listener::with(wire.netns(), Ipv4Addr::UNSPECIFIED.into(), options)?;
        wire.fill(&listener)?;
        for _ in 0..clients {
            wire.peer(Family::V4, 8080).syn()?;
        }
        let overflows = whydrop.wait_events(clients, "overflows", overflow_in(wire.netns()))?;
        for event in &overflows {
            ensure!(
                event.listener_cookie() == Some(listener.cookie()),
                "not {:#x}: {event}",
                listener.cookie()
            );
        }
        listeners.push(listener);
    }
    let stopped = whydrop.stop()?;
    for (wire, truth) in wires.iter().zip(truths) {
        truth.check(wire.netns(), &stopped)?;
    }
    Ok(())
}

/// Four listeners on one port: each overflow names the member that was hit,
/// although its siblings look the same.
#[test]
fn each_member_of_a_reuseport_group() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Whydrop::start()?;
    let truth = Truth::begin(wire.netns())?;
    let first = member(&wire, 0)?;
    let port = first.port();
    let members = [
        first,
        member(&wire, port)?,
        member(&wire, port)?,
        member(&wire, port)?,
    ];
    for _ in 0..80 {
        let mut peer = wire.peer(Family::V4, port);
        peer.syn()?;
        // The kernel chooses a member by the client's address; when it is full
        // the SYN is dropped, though others may have room.
        if peer.answered()? {
            peer.ack()?;
        }
    }
    let dropped = truth.moved(wire.netns())?.get("ListenOverflows");
    ensure!(
        dropped >= 60,
        "only {dropped} of 80 were dropped by a group that holds 8"
    );
    whydrop.wait_events(dropped as usize, "overflows", overflow_in(wire.netns()))?;
    let stopped = whydrop.stop()?;
    truth.check(wire.netns(), &stopped)?;

    let mut seen = BTreeMap::new();
    for event in stopped
        .events_in(wire.netns().inum())
        .filter(|event| event.is("overflow"))
    {
        let cookie = event.listener_cookie().context("no listener cookie")?;
        *seen.entry(cookie).or_insert(0) += 1;
        ensure!(
            event.snapshot_cookie() == Some(cookie),
            "the snapshot is of another member: {event}"
        );
    }
    let mut truth = BTreeMap::new();
    for member in &members {
        truth.insert(member.cookie(), member.drops()?);
    }
    truth.retain(|_, drops| *drops > 0);
    ensure!(
        seen == truth,
        "overflows by member: seen {seen:?}, kernel {truth:?}"
    );
    check_group(&stopped, wire.netns().inum(), members.len(), dropped)
}

/// The rows of its members know the whole group, and their part of it.
fn check_group(stopped: &Stopped, netns: u64, members: usize, dropped: u64) -> Result<()> {
    let rows = stopped.summary()?["listeners"].as_array();
    // Others of the host may refuse meanwhile, and be no group.
    let is_here = |row: &&serde_json::Value| row["netns"] == netns;
    for row in rows.context("no rows")?.iter().filter(is_here) {
        let group = &row["group"];
        let own = row["events"]["overflow"].as_u64().context("no overflow")?;
        let share = own as f64 / dropped as f64;
        // serde_json reads the last digit of a fraction as it likes.
        let told = group["share"].as_f64().context("no share")?;
        ensure!(
            group["members"] == members
                && group["refusals"] == dropped
                && (told - share).abs() < 1e-9,
            "no group of {members} with {dropped} refusals, {share} of them its own: {row}"
        );
        ensure!(
            group["accept_queue_len"] == 2 && group["accept_queue_limit"] == 1,
            "each holds two of one: {row}"
        );
    }
    Ok(())
}

/// Who was closed is no member, and one alone is no group.
#[test]
fn closed_members_are_none() -> Result<()> {
    let wire = Wire::new()?;
    let first = member(&wire, 0)?;
    let second = member(&wire, first.port())?;
    let whydrop = Whydrop::start()?;
    drop(second);
    wire.fill(&first)?;
    wire.peer(Family::V4, first.port()).syn()?;
    whydrop.wait_events(1, "overflows", |event| {
        event.listener_cookie() == Some(first.cookie())
    })?;
    let stopped = whydrop.stop()?;
    let rows = stopped.summary()?["listeners"].as_array();
    let rows = rows.context("no rows")?;
    ensure!(!rows.is_empty(), "no row");
    for row in rows {
        ensure!(row["group"].is_null(), "a group: {row}");
    }
    Ok(())
}

fn member(wire: &Wire, port: u16) -> Result<Listener> {
    let options = Options {
        port,
        listen_backlog: 1,
        reuse_port: true,
        ..Options::default()
    };
    Listener::with(wire.netns(), Family::V4.bind(), options)
}

#[test]
fn only_the_asked_namespace() -> Result<()> {
    let wires = [Wire::new()?, Wire::new()?];
    let whydrop = Watch::new()
        .arg("--netns")
        .arg(wires[1].netns().pid())
        .start()?;
    let truth = Truth::begin(wires[1].netns())?;
    let expected: Vec<Expected> = wires
        .iter()
        .map(|wire| paths::syn_overflow(wire, Family::V4))
        .collect::<Result<_>>()?;
    wait_for(&whydrop, &wires[1], &expected[1])?;
    let stopped = whydrop.stop()?;
    truth.check(wires[1].netns(), &stopped)?;
    let other = stopped
        .events
        .iter()
        .find(|event| event.netns() != Some(wires[1].netns().inum()));
    ensure!(other.is_none(), "an event of another namespace: {other:?}");
    Ok(())
}

#[test]
fn only_the_asked_listener() -> Result<()> {
    let wire = Wire::new()?;
    let netns = wire.netns();
    let listeners = [0, 1].map(|_| Listener::new(netns, Family::V4.bind(), 1));
    let [asked, other] = listeners;
    let (asked, other) = (asked?, other?);
    let whydrop = Watch::new()
        .arg("--listener")
        .arg(format!(":{}", asked.port()))
        .start()?;
    for listener in [&other, &asked] {
        wire.fill(listener)?;
        wire.peer(Family::V4, listener.port()).syn()?;
    }
    whydrop.wait_events(1, "overflows", |event| {
        event.listener_cookie() == Some(asked.cookie())
    })?;
    let stopped = whydrop.stop()?;
    let stranger = stopped
        .events
        .iter()
        .find(|event| event.listener_cookie() != Some(asked.cookie()));
    ensure!(
        stranger.is_none(),
        "an event of another listener: {stranger:?}"
    );
    Ok(())
}
