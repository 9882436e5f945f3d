//! A path injected while whydrop watches: what it says must be what was
//! injected, client by client, and add up to the kernel's counters.

use anyhow::{Context, Result, ensure};
use whydrop_tests::event::Event;
use whydrop_tests::family::Family;
use whydrop_tests::heard::Stopped;
use whydrop_tests::paths::{Expected, Path};
use whydrop_tests::table::{self, Finding};
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

/// Kinds that nothing but the injected packets can cause. Timers retransmit
/// and whether a reset is visible depends on the kernel: of those, the expected
/// ones must be there, and others may be.
const EXACT: [&str; 4] = ["overflow", "request-drop", "cookie-sent", "listen-drop"];

/// The path over IPv4, IPv6 and IPv4-mapped, each in a namespace of its own,
/// under one whydrop.
pub fn trace(path: Path) -> Result<()> {
    let wires = Family::ALL.map(|_| Wire::new());
    let whydrop = Whydrop::start()?;
    let mut traced = Vec::new();
    for (family, wire) in Family::ALL.into_iter().zip(wires) {
        let wire = wire?;
        let truth = Truth::begin(wire.netns())?;
        let expected = path(&wire, family).with_context(|| format!("inject over {family}"))?;
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
pub fn trace_with(watch: Watch, path: Path, family: Family) -> Result<Stopped> {
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
pub fn wait_for(whydrop: &Whydrop, wire: &Wire, expected: &Expected) -> Result<()> {
    let inum = wire.netns().inum();
    let wanted =
        |event: &Event| event.netns() == Some(inum) && expected.kinds().any(|kind| event.is(kind));
    whydrop.wait_events(expected.events.len(), "expected events", wanted)?;
    Ok(())
}

/// The events of this namespace are the expected ones, no more and no less.
pub fn check_events(wire: &Wire, expected: &Expected, stopped: &Stopped) -> Result<()> {
    let tier = stopped.summary()?["tier"].as_str().context("no tier")?;
    let mut unexpected: Vec<&Event> = stopped.events_in(wire.netns().inum()).collect();
    for wanted in &expected.events {
        let found = unexpected.iter().position(|event| {
            event.is(wanted.kind)
                && event.stage() == wanted.stage
                && event.cause() == wanted.cause
                && event.client() == Some(wanted.client)
        });
        if let Some(finding) = Finding::of(wanted, found.map(|at| unexpected[at]), tier) {
            table::note(&finding);
        }
        let at = found.with_context(|| format!("{wanted:?} is missing among {unexpected:?}"))?;
        let event = unexpected.remove(at);
        check_listener(expected, event).with_context(|| format!("in {event}"))?;
    }
    unexpected.retain(|event| EXACT.contains(&event.kind()));
    ensure!(unexpected.is_empty(), "nobody expects {unexpected:?}");
    Ok(())
}

/// The event names the listener that was hit, with its own queue.
fn check_listener(expected: &Expected, event: &Event) -> Result<()> {
    let Some(listener) = &expected.listener else {
        return Ok(());
    };
    ensure!(
        event.listener_cookie() == Some(listener.cookie()),
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
