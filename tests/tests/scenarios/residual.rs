//! What the hooks of a tier do not cover by design is said, not hidden: while
//! whydrop runs, and in the summary.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use whydrop_tests::family::Family;
use whydrop_tests::heard::Stopped;
use whydrop_tests::listener::Listener;
use whydrop_tests::paths;
use whydrop_tests::peer::Peer;
use whydrop_tests::processor::Processor;
use whydrop_tests::segment::RST;
use whydrop_tests::skip::is_hidden;
use whydrop_tests::truth::{Truth, row};
use whydrop_tests::whydrop::Whydrop;
use whydrop_tests::wire::Wire;

use crate::traced::trace;

/// AA: a SYN to a broadcast address is dropped before `tcp_conn_request`, so
/// only the cgroup tier sees it; the other tiers must say what they missed.
#[test]
fn syn_to_a_broadcast_address() -> Result<()> {
    let wire = Wire::new()?;
    let netns = wire.netns();
    let listener = Listener::new(netns, Ipv4Addr::UNSPECIFIED.into(), 8)?;
    let whydrop = Whydrop::start()?;
    let truth = Truth::begin(netns)?;

    let to = SocketAddr::new(broadcast()?, listener.port());
    Peer::new(&wire, Family::V4.client(1), to).syn()?;
    wire.barrier()?;
    let drops = truth.moved(netns)?.get("ListenDrops");
    ensure!(drops == 1, "the kernel dropped {drops}");

    if whydrop.readiness()?["tier"] == "cgroup" {
        whydrop.wait_events(1, "listen drops", |event| {
            event.is("listen-drop") && event.netns() == Some(netns.inum())
        })?;
        return truth.check(netns, &whydrop.stop()?);
    }
    whydrop.wait_line("a residual", |line| {
        line["type"] == "residual"
            && line["netns"] == netns.inum()
            && line["counter"] == "ListenDrops"
            && line["unattributed"] == 1
    })?;
    let stopped = whydrop.stop()?;
    let drops = row(&stopped, netns, "ListenDrops")?.context("no row for ListenDrops")?;
    ensure!(
        (drops.kernel, drops.seen, drops.unattributed) == (1, 0, 1),
        "{drops:?}"
    );
    ensure!(
        stopped.summary()?["unattributed_may_be"].is_array(),
        "the summary does not say what it may be"
    );
    Ok(())
}

/// Q: an ICMP error takes a request away in `tcp_req_err`, where only a hook on
/// that very function is told of it.
#[test]
fn icmp_error_about_a_request() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Whydrop::start()?;
    if !is_hidden(&whydrop.readiness()?, "blind", "icmp-error")? {
        whydrop.stop()?.ended_well()?;
        return trace(paths::unreachable_client);
    }
    let expected = paths::unreachable_client(&wire, Family::V4)?;
    let drops = expected.counter("ListenDrops");
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    let row = row(&stopped, wire.netns(), "ListenDrops")?.context("no row for ListenDrops")?;
    // Seen if another packet came to that processor before the end: `late`.
    ensure!(
        (row.kernel, row.seen as i64 + row.unattributed) == (drops, drops as i64),
        "{row:?}"
    );
    Ok(())
}

/// An ICMP error whose packet gets the address of one that has just made a
/// connection at another listener is none of that one's refusals.
#[test]
fn icmp_error_after_a_connection() -> Result<()> {
    icmp_errors_after(|peer| {
        peer.open()?;
        peer.ack()
    })
}

/// The same after a reset that fits nothing, which 5.10 frees without a tracepoint.
#[test]
fn icmp_error_after_a_stray_reset() -> Result<()> {
    icmp_errors_after(|peer| peer.stray(RST))
}

fn icmp_errors_after(before: fn(&mut Peer<'_>) -> Result<()>) -> Result<()> {
    let wires = Family::ALL.map(|_| Wire::new());
    let whydrop = Whydrop::start()?;
    let mut injected = Vec::new();
    for (family, wire) in Family::ALL.into_iter().zip(wires) {
        let wire = wire?;
        let hit = inject_icmp_errors(&wire, family, before)
            .with_context(|| format!("inject over {family}"))?;
        injected.push((family, wire, hit));
    }
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    for (family, wire, hit) in &injected {
        check_icmp_errors(wire, hit, &stopped).with_context(|| format!("over {family}"))?;
    }
    Ok(())
}

const ERRORS: usize = 20;

/// Returns the listener that has lost its requests.
fn inject_icmp_errors(
    wire: &Wire,
    family: Family,
    before: fn(&mut Peer<'_>) -> Result<()>,
) -> Result<Listener> {
    let room = 2 * ERRORS as i32;
    let innocent = Listener::new(wire.netns(), family.bind(), room)?;
    let hit = Listener::new(wire.netns(), family.bind(), room)?;
    let truth = Truth::begin(wire.netns())?;
    // A packet's memory goes to the next one of the same processor.
    let _processor = Processor::stay()?;
    for _ in 0..ERRORS {
        let mut request = wire.peer(family, hit.port());
        request.open()?;
        before(&mut wire.peer(family, innocent.port()))?;
        request.unreachable(paths::FATAL)?;
    }
    let (counted, drops) = (truth.moved(wire.netns())?.get("ListenDrops"), hit.drops()?);
    ensure!(
        (counted, u64::from(drops)) == (ERRORS as u64, ERRORS as u64),
        "the kernel counted {counted}, {drops} of them at the listener"
    );
    Ok(hit)
}

/// All are counted, and those with a listener have the right one.
fn check_icmp_errors(wire: &Wire, hit: &Listener, stopped: &Stopped) -> Result<()> {
    let row = row(stopped, wire.netns(), "ListenDrops")?.context("no row for ListenDrops")?;
    ensure!(
        (row.kernel, row.seen as i64 + row.unattributed) == (ERRORS as u64, ERRORS as i64)
            && row.unattributed >= 0,
        "{row:?}"
    );
    let drops = stopped
        .events_in(wire.netns().inum())
        .filter(|event| event.is("listen-drop"));
    for event in drops {
        let is_late = event.0["late"] == true;
        let is_known = event.stage() == Some("icmp")
            && event.client().is_some()
            && event.listener_cookie() == Some(hit.cookie());
        let is_unknown = event.stage().is_none()
            && event.client().is_none()
            && event.listener_cookie().is_none();
        ensure!(
            event.cause() == Some("icmp-error") && if is_late { is_unknown } else { is_known },
            "{event}"
        );
    }
    Ok(())
}

/// The broadcast address of the wire's own network, a /16.
fn broadcast() -> Result<IpAddr> {
    let IpAddr::V4(local) = Family::V4.local() else {
        anyhow::bail!("the wire has no IPv4 address");
    };
    let [a, b, ..] = local.octets();
    Ok(Ipv4Addr::new(a, b, 255, 255).into())
}
