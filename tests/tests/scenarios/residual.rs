//! What the hooks of a tier do not cover by design is said, not hidden: while
//! whydrop runs, and in the summary.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use whydrop_tests::family::Family;
use whydrop_tests::listener::Listener;
use whydrop_tests::paths;
use whydrop_tests::peer::Peer;
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

/// The broadcast address of the wire's own network, a /16.
fn broadcast() -> Result<IpAddr> {
    let IpAddr::V4(local) = Family::V4.local() else {
        anyhow::bail!("the wire has no IPv4 address");
    };
    let [a, b, ..] = local.octets();
    Ok(Ipv4Addr::new(a, b, 255, 255).into())
}
