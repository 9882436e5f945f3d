//! The processes that hold a listener: all of them, and no other.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use whydrop_tests::deadline::{soon, wait_until};
use whydrop_tests::event::{Event, overflow_in};
use whydrop_tests::family::Family;
use whydrop_tests::holder::{Birth, Holder};
use whydrop_tests::listener::Listener;
use whydrop_tests::whydrop::Whydrop;
use whydrop_tests::wire::Wire;

use super::member;

fn us() -> u64 {
    u64::from(std::process::id())
}

/// A listener that is full already, and who holds it, before whydrop starts:
/// the only overflow has to name exactly them.
fn check(wire: &Wire, port: u16, owners: &[u64]) -> Result<Event> {
    let whydrop = Whydrop::start()?;
    wire.peer(Family::V4, port).syn()?;
    let event = whydrop.wait_events(1, "overflows", overflow_in(wire.netns()))?;
    let event = event.into_iter().next().context("no event")?;
    let mut owners = owners.to_vec();
    owners.sort_unstable();
    ensure!(event.owner_pids() == owners, "not {owners:?}: {event}");
    let summary = whydrop.stop()?;
    let rows = summary.summary()?["listeners"].as_array().cloned();
    let cookie = &event.0["listener"]["cookie"];
    let row = rows
        .into_iter()
        .flatten()
        .find(|row| row["cookie"] == *cookie);
    let row = row.with_context(|| format!("no row of {cookie}"))?;
    ensure!(row["owner"] == event.0["owner"], "another owner: {row}");
    Ok(event)
}

#[test]
fn workers_of_a_forking_server() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let workers = [
        Holder::of(&listener)?,
        Holder::of(&listener)?,
        Holder::of(&listener)?,
    ];
    let mut all = vec![us()];
    all.extend(workers.iter().map(Holder::pid));
    let event = check(&wire, listener.port(), &all)?;
    let exe = std::fs::read_link("/proc/self/exe")?;
    let owners = event.0["owner"].as_array().context("no owners")?;
    let is_ours = |owner: &Value| owner["exe"].as_str() == exe.to_str();
    ensure!(owners.iter().all(is_ours), "not from {exe:?}: {event}");
    Ok(())
}

#[test]
fn child_that_was_given_the_socket() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let port = listener.port();
    let given = Holder::of(&listener)?;
    drop(listener);
    check(&wire, port, &[given.pid()])?;
    Ok(())
}

#[test]
fn orphan_of_the_process_that_listened() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let port = listener.port();
    let birth = Birth {
        orphan: true,
        ..Birth::default()
    };
    let orphan = Holder::born(&listener, birth)?;
    drop(listener);
    check(&wire, port, &[orphan.pid()])?;
    Ok(())
}

/// Its number and its name are those that this namespace has for it.
#[test]
fn process_in_other_namespaces() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let port = listener.port();
    let birth = Birth {
        comm: Some(c"contained"),
        namespaces: libc::CLONE_NEWPID
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWUTS,
        ..Birth::default()
    };
    let contained = Holder::born(&listener, birth)?;
    drop(listener);
    let event = check(&wire, port, &[contained.pid()])?;
    let named = (contained.pid(), "contained".to_owned());
    ensure!(event.owners() == [named], "not named so: {event}");
    Ok(())
}

#[test]
fn threads_are_one_process() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let ended = std::sync::Mutex::new(ended);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| ended.lock().map(|ended| ended.recv()).is_ok());
        }
        let checked = check(&wire, listener.port(), &[us()]);
        drop(end);
        checked
    })?;
    Ok(())
}

/// After each end only those that are left are named, never one that is gone.
#[test]
fn holders_that_end_one_by_one() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let port = listener.port();
    let mut holders = vec![Holder::of(&listener)?, Holder::of(&listener)?];
    drop(listener);
    let whydrop = Whydrop::start()?;
    let mut told = 0;
    while !holders.is_empty() {
        let mut left: Vec<u64> = holders.iter().map(Holder::pid).collect();
        left.sort_unstable();
        // Between two scans of /proc there may be no owner, but never a wrong one.
        wait_until("the owners", soon(), || {
            wire.peer(Family::V4, port).syn()?;
            told += 1;
            let events = whydrop.wait_events(told, "overflows", overflow_in(wire.netns()))?;
            let owners = events.last().context("no event")?.owner_pids();
            ensure!(
                owners.is_empty() || owners == left,
                "{owners:?} instead of {left:?}"
            );
            Ok(!owners.is_empty())
        })?;
        holders.pop();
    }
    whydrop.stop()?.ended_well()
}

/// Each member of a group has a process of its own.
#[test]
fn workers_of_a_reuseport_group() -> Result<()> {
    let wire = Wire::new()?;
    let first = member(&wire, 0)?;
    let port = first.port();
    let members = [first, member(&wire, port)?];
    let workers = [Holder::of(&members[0])?, Holder::of(&members[1])?];
    let owners: Vec<(u64, u64)> = members
        .iter()
        .map(Listener::cookie)
        .zip(workers.iter().map(Holder::pid))
        .collect();
    drop(members);
    let whydrop = Whydrop::start()?;
    let inum = wire.netns().inum();
    wait_until("refusals of both", soon(), || {
        let mut peer = wire.peer(Family::V4, port);
        peer.syn()?;
        if peer.answered()? {
            peer.ack()?;
        }
        let events = whydrop.events(|event| event.netns() == Some(inum))?;
        let told = |(cookie, _): &(u64, u64)| {
            events
                .iter()
                .any(|event| event.listener_cookie() == Some(*cookie))
        };
        Ok(owners.iter().all(told))
    })?;
    let stopped = whydrop.stop()?;
    for event in stopped.events_in(inum).filter(|e| e.is("overflow")) {
        let cookie = event.listener_cookie().context("no cookie")?;
        let owner = owners.iter().find(|(member, _)| *member == cookie);
        let (_, owner) = owner.with_context(|| format!("no member: {event}"))?;
        ensure!(event.owner_pids() == [*owner], "not {owner}: {event}");
    }
    Ok(())
}

/// A namespace without a name has that of its first process.
#[test]
fn namespace_by_its_process() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let event = check(&wire, listener.port(), &[us()])?;
    let pid = u64::try_from(wire.netns().pid())?;
    ensure!(event.0["netns_pid"] == pid, "not {pid}: {event}");
    ensure!(event.0["netns_name"].is_null(), "a name: {event}");
    Ok(())
}
