//! A path injected while whydrop watches: what it says must be what was
//! injected, client by client, and add up to the kernel's counters.

use anyhow::{Context, Result, ensure};
use whydrop_tests::event::Event;
use whydrop_tests::family::Family;
use whydrop_tests::heard::{Stopped, blind};
use whydrop_tests::paths::{Expected, Path};
use whydrop_tests::skip::skip;
use whydrop_tests::table::{self, Finding};
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

/// Kinds that nothing but the injected packets can cause. Timers retransmit
/// and whether a reset is visible depends on the kernel: of those, the expected
/// ones must be there, and others may be.
const EXACT: [&str; 10] = [
    "overflow",
    "request-drop",
    "cookie-sent",
    "listen-drop",
    "refused",
    "listener-closed",
    "request-expired",
    "deferred-accept",
    "fast-open-full",
    "packet-drop",
];

/// The path over IPv4, IPv6 and IPv4-mapped, each in a namespace of its own,
/// under one whydrop.
pub(crate) fn trace(path: Path) -> Result<()> {
    trace_everywhere(Watch::new(), path)
}

/// The same with the events that are not shown by default.
pub(crate) fn trace_all_events(path: Path) -> Result<()> {
    trace_everywhere(Watch::new().args(["--events", "all"]), path)
}

fn trace_everywhere(watch: Watch, path: Path) -> Result<()> {
    let wires = Family::ALL.map(|_| Wire::new());
    let whydrop = watch.start()?;
    let mut traced = Vec::new();
    for (family, wire) in Family::ALL.into_iter().zip(wires) {
        let wire = wire?;
        let truth = Truth::begin(wire.netns())?;
        let expected = path(&wire, family).with_context(|| format!("inject over {family}"))?;
        if let Some(why) = &expected.impossible {
            return skip(why);
        }
        wait_for(&whydrop, &wire, &expected)?;
        traced.push((family, wire, truth, expected));
    }
    let stopped = whydrop.stop()?;
    for (family, wire, truth, expected) in &traced {
        truth
            .check(wire.netns(), &stopped)
            .and_then(|()| check_events(wire, expected, &stopped))
            .with_context(|| format!("over {family}"))?;
    }
    Ok(())
}

/// One path, one family, with further arguments for whydrop.
pub(crate) fn trace_with(watch: Watch, path: Path, family: Family) -> Result<Stopped> {
    let wire = Wire::new()?;
    let whydrop = watch.start()?;
    let truth = Truth::begin(wire.netns())?;
    let expected = path(&wire, family)?;
    wait_for(&whydrop, &wire, &expected)?;
    let stopped = whydrop.stop()?;
    truth.check(wire.netns(), &stopped)?;
    check_events(&wire, &expected, &stopped)?;
    Ok(stopped)
}

/// Until whydrop has said as much as is expected of it.
pub(crate) fn wait_for(whydrop: &Whydrop, wire: &Wire, expected: &Expected) -> Result<()> {
    let blind = blind(&whydrop.readiness()?);
    let due = expected.events.iter().filter(|event| event.is_due(&blind));
    let kinds: Vec<&str> = due.map(|event| event.kind).collect();
    let inum = wire.netns().inum();
    whydrop.wait_events(kinds.len(), "expected events", |event| {
        event.netns() == Some(inum) && kinds.contains(&event.kind())
    })?;
    Ok(())
}

/// The events of this namespace are the expected ones, no more and no less,
/// but for those that whydrop has said at its start it cannot see here.
pub(crate) fn check_events(wire: &Wire, expected: &Expected, stopped: &Stopped) -> Result<()> {
    let tier = stopped.summary()?["tier"].as_str().context("no tier")?;
    let blind = stopped.blind()?;
    let mut unexpected: Vec<&Event> = stopped.events_in(wire.netns().inum()).collect();
    for wanted in &expected.events {
        let found = unexpected.iter().position(|event| {
            event.is(wanted.kind)
                && event.stage() == wanted.stage
                && (event.cause() == wanted.cause || may_be(event, wanted.cause))
                && event.client() == wanted.client
        });
        if let Some(finding) = Finding::of(wanted, found.map(|at| unexpected[at]), tier) {
            table::note(&finding)?;
        }
        if found.is_none() && !wanted.is_due(&blind) {
            continue;
        }
        let at = found.with_context(|| format!("{wanted:?} is missing among {unexpected:?}"))?;
        let event = unexpected.remove(at);
        check_listener(expected, event).with_context(|| format!("in {event}"))?;
    }
    // A request may outlive the test that made it, and its namespace's number be given to another one.
    let is_of_another =
        |event: &Event| event.is("request-expired") && event.cause() == Some("listener-closed");
    unexpected.retain(|event| EXACT.contains(&event.kind()) && !is_of_another(event));
    ensure!(unexpected.is_empty(), "nobody expects {unexpected:?}");
    Ok(())
}

/// Who listens is looked up at a limited pace: a refusal that was not looked up in time names the cause beside its own.
fn may_be(event: &Event, cause: Option<&str>) -> bool {
    let or = event.0["or"].as_array().into_iter().flatten();
    event.is("refused") && or.into_iter().any(|also| also.as_str() == cause)
}

/// The event names the listener that was hit, or closed, or missed.
fn check_listener(expected: &Expected, event: &Event) -> Result<()> {
    match (event.kind(), event.cause()) {
        ("refused", cause) => check_refused(expected, event, cause),
        ("listener-closed", _) => check_closed(expected, event),
        ("reset-sent", Some("listener-closed")) => Ok(()),
        ("reset-sent", Some("application")) => check_ends(expected, event),
        // Before 6.12 the kernel does not say whose packet it was, and of a firewall's none does.
        ("packet-drop", _) if event.listener_cookie().is_none() => check_found(expected, event),
        _ => check_hit(expected, event),
    }
}

/// With its own queue.
fn check_hit(expected: &Expected, event: &Event) -> Result<()> {
    let Some(listener) = &expected.listener else {
        return Ok(());
    };
    ensure!(
        listener.is_mptcp() || event.listener_cookie() == Some(listener.cookie()),
        "the cookie is {:#x}",
        listener.cookie()
    );
    ensure!(
        event.listener_address() == Some(listener.address()),
        "the listener is at {}",
        listener.address()
    );
    let local = event.local().context("no local address")?;
    ensure!(
        local.port() == listener.port(),
        "the port is {}",
        listener.port()
    );
    if event.is("overflow") {
        let [len, limit] =
            ["accept_queue_len", "accept_queue_limit"].map(|name| event.number("listener", name));
        let (len, limit) = (len?, limit?);
        ensure!(len > limit, "an overflow with {len} of {limit}");
    }
    Ok(())
}

/// Dropped before a listener was looked up: the snapshot is of the one that
/// whydrop has found since.
fn check_found(expected: &Expected, event: &Event) -> Result<()> {
    let listener = expected.listener.as_ref().context("there is none")?;
    ensure!(
        event.snapshot_cookie() == Some(listener.cookie()),
        "the cookie is {:#x}",
        listener.cookie()
    );
    Ok(())
}

/// Of an accepted connection only the two ends are known.
fn check_ends(expected: &Expected, event: &Event) -> Result<()> {
    let listener = expected.listener.as_ref().context("there is none")?;
    let local = event.local().context("no local address")?;
    ensure!(
        local.port() == listener.port(),
        "the port is {}",
        listener.port()
    );
    event.remote().context("no remote address")?;
    Ok(())
}

/// The queue is as long as many connections were reset.
fn check_closed(expected: &Expected, event: &Event) -> Result<()> {
    let closed = expected.closed.as_ref().context("nobody has closed one")?;
    ensure!(
        event.listener_cookie() == Some(closed.cookie)
            && event.listener_address() == Some(closed.address),
        "closed was {closed:?}"
    );
    let queued = event.number("listener", "accept_queue_len")?;
    let reset = expected.counter("EstabResets");
    let moved = expected.counter("TCPMigrateReqSuccess");
    ensure!(
        queued == reset + moved,
        "{queued} were queued, {reset} were reset and {moved} were moved"
    );
    Ok(())
}

/// It says where a listener was, or is.
fn check_refused(expected: &Expected, event: &Event, cause: Option<&str>) -> Result<()> {
    match cause {
        Some("listener-closed") => {
            let closed = expected.closed.as_ref().context("nobody has closed one")?;
            ensure!(
                event.closed_cookie() == Some(closed.cookie)
                    && event.closed_address() == Some(closed.address),
                "closed was {closed:?}"
            );
        }
        Some("listener-on-other-address" | "listener-on-other-device") => {
            let listener = expected.listener.as_ref().context("there is none")?;
            let wanted = (Some(listener.address()), event.netns());
            ensure!(event.elsewhere().contains(&wanted), "not at {wanted:?}");
        }
        Some("listener-in-other-namespace") => {
            let other = expected.elsewhere.as_ref().context("there is none")?;
            let wanted = (Some(other.listener.address()), Some(other.netns.inum()));
            ensure!(event.elsewhere().contains(&wanted), "not at {wanted:?}");
        }
        _ => ensure!(event.elsewhere().is_empty(), "it names a listener"),
    }
    Ok(())
}
