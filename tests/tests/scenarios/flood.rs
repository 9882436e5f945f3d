//! SYN floods: more refusals than anybody can be told one by one. The counts
//! stay exact, detail is left out on purpose and says so, and no client is
//! lost among the others.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use whydrop_tests::deadline::{in_vm, scaled, wait_until};
use whydrop_tests::family::Family;
use whydrop_tests::flood::{Flood, Flooded, addresses, clients};
use whydrop_tests::heard::Stopped;
use whydrop_tests::listener::Listener;
use whydrop_tests::log::say;
use whydrop_tests::netns::Netns;
use whydrop_tests::truth::{Row, Truth, row};
use whydrop_tests::whydrop::Watch;
use whydrop_tests::wire::Wire;

/// A VM that emulates its processor sends a tenth as many in the same time.
fn syns() -> usize {
    if in_vm() { 40_000 } else { 400_000 }
}

const LIMIT: Duration = Duration::from_secs(10);
const THREADS: usize = 2;

/// What these tests look at; the rest of so many events would fill the memory.
const KEPT: [&str; 4] = ["kind", "netns", "client", "listener"];

/// What a flood is refused with, and the counter that tells.
struct Refusal {
    kind: &'static str,
    counter: &'static str,
}

const OVERFLOW: Refusal = Refusal {
    kind: "overflow",
    counter: "ListenOverflows",
};

const REQUEST_DROP: Refusal = Refusal {
    kind: "request-drop",
    counter: "TCPReqQFullDrop",
};

/// 64 addresses: each of them must be told.
#[test]
fn few_clients() -> Result<()> {
    let clients = clients(64, 16);
    let wanted = addresses(&clients);
    let (netns, stopped) = flooded("few_clients", &OVERFLOW, clients, full_accept_queue)?;
    let told = told_addresses(&netns, &stopped, &OVERFLOW);
    let silent: Vec<_> = wanted.difference(&told).collect();
    ensure!(silent.is_empty(), "no event of {silent:?}");
    Ok(())
}

/// As many addresses as the wire has: a flood with forged ones.
#[test]
fn many_clients() -> Result<()> {
    let clients = clients(Family::CLIENTS, 1);
    flooded("many_clients", &OVERFLOW, clients, full_accept_queue)?;
    Ok(())
}

#[test]
fn syn_queue_full() -> Result<()> {
    let clients = clients(64, 16);
    flooded("syn_queue_full", &REQUEST_DROP, clients, full_syn_queue)?;
    Ok(())
}

/// One client of a listener beside the flooded one is not lost in the noise.
#[test]
fn a_neighbour_is_told_in_detail() -> Result<()> {
    // Refused before and after the neighbour's SYN.
    let enough = syns() as u64 / 4;
    let wire = Wire::new()?;
    let [flooded, beside] = [(); 2].map(|()| full_accept_queue(&wire));
    let (flooded, beside) = (flooded?, beside?);
    let flood = Flood {
        syns: 10 * syns(),
        ..flood_of(clients(64, 16), &flooded)
    };
    let flood = flood.ready(&wire)?;
    let whydrop = Watch::new().keeping(&KEPT).start()?;
    let truth = Truth::begin(wire.netns())?;

    let neighbour = wire.peer(Family::V4, beside.port());
    let done = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let flooding = scope.spawn(|| flood.run(&done));
        let more = |count| {
            let before = truth.moved(wire.netns())?.get("ListenOverflows");
            wait_until("the flood", scaled(LIMIT), || {
                Ok(truth.moved(wire.netns())?.get("ListenOverflows") >= before + count)
            })
        };
        let meanwhile = more(enough)
            .and_then(|()| neighbour.syn())
            .and_then(|()| more(enough));
        done.store(true, Relaxed);
        let sent = flooding
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        meanwhile.and(sent)
    })?;

    let stopped = whydrop.stop()?;
    check_exact(
        "a_neighbour",
        &OVERFLOW,
        wire.netns(),
        &truth,
        &stopped,
        sent,
    )?;
    let told: Vec<_> = stopped
        .events_in(wire.netns().inum())
        .filter(|event| event.listener_cookie() == Some(beside.cookie()))
        .collect();
    let [event] = told[..] else {
        bail!("{} events of one refusal beside the flood", told.len());
    };
    ensure!(
        event.is("overflow") && event.client() == Some(neighbour.client),
        "not the neighbour's: {event}"
    );
    Ok(())
}

/// A flood from its start to the end of whydrop.
fn flooded(
    name: &str,
    refusal: &Refusal,
    clients: Vec<SocketAddr>,
    full: impl Fn(&Wire) -> Result<Listener>,
) -> Result<(Netns, Stopped)> {
    let wire = Wire::new()?;
    let listener = full(&wire)?;
    let flood = flood_of(clients, &listener).ready(&wire)?;
    let whydrop = Watch::new().keeping(&KEPT).start()?;
    let truth = Truth::begin(wire.netns())?;
    let sent = flood.run(&AtomicBool::new(false))?;
    let stopped = whydrop.stop()?;
    check_exact(name, refusal, wire.netns(), &truth, &stopped, sent)?;
    check_sampled(refusal, wire.netns(), &stopped)?;
    Ok((wire.into_netns(), stopped))
}

fn flood_of(clients: Vec<SocketAddr>, listener: &Listener) -> Flood {
    Flood {
        clients,
        to: listener.address(),
        syns: syns(),
        limit: scaled(LIMIT),
        threads: THREADS,
    }
}

fn full_accept_queue(wire: &Wire) -> Result<Listener> {
    wire.netns().sysctl("net/ipv4/tcp_syncookies", "0")?;
    wire.full_listener()
}

/// A listener whose clients never send their ACK, and no cookies.
fn full_syn_queue(wire: &Wire) -> Result<Listener> {
    wire.netns().sysctl("net/ipv4/tcp_syncookies", "0")?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), 3)?;
    for _ in 0..8 {
        let mut peer = wire.peer(Family::V4, listener.port());
        peer.syn()?;
        if !peer.answered()? {
            return Ok(listener);
        }
    }
    bail!("the SYN queue of {} does not fill up", listener.address())
}

/// Everything is seen, sampled or lost, and there are as many lines as are
/// said to be seen.
fn check_exact(
    name: &str,
    refusal: &Refusal,
    netns: &Netns,
    truth: &Truth,
    stopped: &Stopped,
    sent: Flooded,
) -> Result<()> {
    stopped.ended_well()?;
    let row = refused(refusal, netns, stopped)?;
    let rate = sent.syns_per_second();
    say(format_args!("FLOOD {name} {row} rate={rate:.0}"))?;
    truth.check_rows(netns, stopped, true)?;
    ensure!(
        row.kernel * 100 >= sent.syns as u64 * 99,
        "{} SYNs were sent, {row:?}",
        sent.syns
    );
    let lines = stopped
        .events_in(netns.inum())
        .filter(|event| event.is(refusal.kind))
        .count() as u64;
    ensure!(lines == row.seen, "{lines} lines, but {row:?}");
    Ok(())
}

/// What was left out on purpose is told, in lines that add up to the summary.
fn check_sampled(refusal: &Refusal, netns: &Netns, stopped: &Stopped) -> Result<()> {
    let row = refused(refusal, netns, stopped)?;
    ensure!(row.sampled > 0, "every SYN of a flood in detail: {row:?}");
    let told: u64 = stopped
        .others
        .iter()
        .filter(|line| {
            line["type"] == "sampled"
                && line["netns"] == netns.inum()
                && line["kind"] == refusal.kind
        })
        .map(|line| line["count"].as_u64().context("no count"))
        .sum::<Result<_>>()?;
    ensure!(told == row.sampled, "{told} told as sampled, but {row:?}");
    Ok(())
}

fn refused(refusal: &Refusal, netns: &Netns, stopped: &Stopped) -> Result<Row> {
    let row = row(stopped, netns, refusal.counter)?;
    row.with_context(|| format!("no row for {}", refusal.counter))
}

/// Whom the events name.
fn told_addresses(netns: &Netns, stopped: &Stopped, refusal: &Refusal) -> BTreeSet<IpAddr> {
    stopped
        .events_in(netns.inum())
        .filter(|event| event.is(refusal.kind))
        .filter_map(|event| Some(event.client()?.ip()))
        .collect()
}
