//! What a listener goes through before anything is lost: what whydrop counts is what the server and its clients did.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::net::sockopt;
use serde_json::Value;
use whydrop_tests::client::Client;
use whydrop_tests::family::Family;
use whydrop_tests::heard::{Stopped, ensure_number};
use whydrop_tests::listener::{Listener, MPTCP, MPTCP_SINCE, Options, has_mptcp};
use whydrop_tests::log::say;
use whydrop_tests::netns::Netns;
use whydrop_tests::skip::{is_hidden, lacks, skip};
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

/// The row of a listener in the summary.
fn row<'line>(stopped: &'line Stopped, listener: &Listener) -> Result<&'line Value> {
    row_of(stopped, listener.cookie())
}

fn row_of(stopped: &Stopped, cookie: u64) -> Result<&Value> {
    stopped.ended_well()?;
    let cookie = format!("{cookie:#x}");
    let rows = stopped.summary()?["stats"].as_array();
    let mut of_listener = rows
        .into_iter()
        .flatten()
        .filter(|row| row["cookie"] == cookie);
    let row = of_listener
        .next()
        .with_context(|| format!("no row of {cookie} in {rows:?}"))?;
    ensure!(of_listener.next().is_none(), "two rows of {cookie}");
    Ok(row)
}

fn accept(listener: &Listener, how_many: usize) -> Result<Vec<TcpStream>> {
    (0..how_many).map(|_| listener.accept_soon()).collect()
}

/// Connections that are in the queue: a client is connected before its last ACK has come.
fn connect(netns: &Netns, family: Family, listener: &Listener, n: usize) -> Result<Vec<TcpStream>> {
    let to = SocketAddr::new(family.loopback(), listener.port());
    let queued = listener.queued()? + n as u32;
    let connect = |_| Client::connect(netns, to)?.into_stream();
    let streams = (0..n).map(connect).collect::<Result<_>>()?;
    listener.wait_queued(queued)?;
    Ok(streams)
}

#[test]
fn queue_is_counted_in_and_out() -> Result<()> {
    let netns = Netns::new()?;
    let whydrop = Whydrop::start()?;
    let mut listeners = Vec::new();
    for family in Family::ALL {
        let any = match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 | Family::Mapped => Ipv6Addr::UNSPECIFIED.into(),
        };
        let listener = Listener::new(&netns, any, 16)?;
        let mut streams = connect(&netns, family, &listener, 12)?;
        let mut served = accept(&listener, 7)?;
        streams.extend(connect(&netns, family, &listener, 3)?);
        served.extend(accept(&listener, 2)?);
        // A client that resets stays in the queue until it is accepted.
        drop(streams);
        listeners.push((listener, served));
    }
    let stopped = whydrop.stop()?;
    for (listener, _) in &listeners {
        let row = row(&stopped, listener)?;
        ensure_number(row, "/established", 15)?;
        ensure_number(row, "/accepted", 9)?;
        ensure_number(row, "/queued", 6)?;
        ensure_number(row, "/reset", 0)?;
        ensure_number(row, "/accept_queue/peak", 12)?;
        ensure_number(row, "/accept_queue/limit", 16)?;
        ensure_number(row, "/cookies_sent", 0)?;
    }
    Ok(())
}

#[test]
fn queue_of_a_closed_listener_was_reset() -> Result<()> {
    let netns = Netns::new()?;
    let whydrop = Whydrop::start()?;
    let listener = Listener::new(&netns, Ipv4Addr::LOCALHOST.into(), 16)?;
    let cookie = listener.cookie();
    let _streams = connect(&netns, Family::V4, &listener, 9)?;
    let _served = accept(&listener, 4)?;
    drop(listener);
    let stopped = whydrop.stop()?;
    let row = row_of(&stopped, cookie)?;
    ensure!(row["closed"] == true, "it is closed: {row}");
    ensure_number(row, "/established", 9)?;
    ensure_number(row, "/accepted", 4)?;
    ensure_number(row, "/reset", 5)?;
    ensure_number(row, "/queued", 0)
}

/// As `ensure_number`, where so many may be missing.
fn ensure_nearly(row: &Value, path: &str, expected: u64, missing: u64) -> Result<()> {
    let found = row.pointer(path).and_then(Value::as_u64);
    ensure!(
        found.is_some_and(|found| found <= expected && found + missing >= expected),
        "{path} is {found:?}, not {expected} less {missing} at most: {row}"
    );
    Ok(())
}

const CONNECTIONS: usize = 1000;
const SERVED: usize = 900;

/// Four clients connect as fast as they can, and some of them reset; two servers accept all but the last hundred.
fn churn(netns: &Netns, listener: &Listener) -> Result<()> {
    let to = listener.address();
    let client = |which: usize| -> Result<()> {
        for n in 0..CONNECTIONS / 4 {
            let stream = TcpStream::connect(to)?;
            if n % 4 == which {
                sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
            }
        }
        Ok(())
    };
    let tickets = AtomicUsize::new(0);
    let server = || -> Result<()> {
        while tickets.fetch_add(1, Ordering::Relaxed) < SERVED {
            listener.accept_soon()?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let clients = [0, 1, 2, 3].map(|which| scope.spawn(move || netns.run(|| client(which))?));
        let servers = [(), ()].map(|()| scope.spawn(server));
        for thread in clients.into_iter().chain(servers) {
            thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        }
        Ok(())
    })
}

#[test]
fn churn_adds_up() -> Result<()> {
    let netns = Netns::new()?;
    // Maps are looked into all the time, which keeps kprobes from running.
    let whydrop = Watch::new().args(["--stats", "20ms"]).start()?;
    let new = || Listener::new(&netns, Ipv4Addr::LOCALHOST.into(), CONNECTIONS as i32);
    let (open, closed) = (new()?, new()?);
    for listener in [&open, &closed] {
        churn(&netns, listener)?;
        listener.wait_queued((CONNECTIONS - SERVED) as u32)?;
    }
    let closed_cookie = closed.cookie();
    drop(closed);
    let stopped = whydrop.stop()?;
    let skipped = &stopped.summary()?["skipped"];
    say(format_args!("CHURN skipped {skipped}"))?;
    // Exact, but for what the kernel itself says that it kept from the hooks.
    let hooks = [
        "tcp_check_req",
        "tcp_get_cookie_sock",
        "security_sock_graft",
        "inet_csk_accept",
    ];
    let missing: u64 = hooks
        .iter()
        .map(|hook| skipped[hook].as_u64().unwrap_or(0))
        .sum();
    let left = (CONNECTIONS - SERVED) as u64;
    for (cookie, queued, reset) in [(open.cookie(), left, 0), (closed_cookie, 0, left)] {
        let row = row_of(&stopped, cookie)?;
        ensure_nearly(row, "/established", CONNECTIONS as u64, missing)?;
        ensure_nearly(row, "/accepted", SERVED as u64, missing)?;
        if missing == 0 {
            ensure_number(row, "/queued", queued)?;
            ensure_number(row, "/reset", reset)?;
        }
    }
    Ok(())
}

/// Plain clients of an MPTCP listener, which Go makes by default.
#[test]
fn mptcp_listener_is_counted_too() -> Result<()> {
    let netns = Netns::new()?;
    if !has_mptcp(&netns)? {
        return skip(&lacks(MPTCP, MPTCP_SINCE)?);
    }
    let whydrop = Whydrop::start()?;
    let options = Options {
        listen_backlog: 16,
        mptcp: true,
        ..Options::default()
    };
    let listener = Listener::with(&netns, Ipv4Addr::LOCALHOST.into(), options)?;
    let _streams = connect(&netns, Family::V4, &listener, 6)?;
    let _served = accept(&listener, 4)?;
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    let rows = stopped.summary()?["stats"].as_array();
    let addr = listener.address().to_string();
    let inum = netns.inum();
    let row = rows
        .into_iter()
        .flatten()
        .find(|row| row["addr"] == addr && row["netns"] == inum);
    let row = row.with_context(|| format!("no row of {addr}"))?;
    ensure_number(row, "/established", 6)?;
    ensure_number(row, "/accepted", 4)?;
    ensure_number(row, "/queued", 2)
}

/// Half-open requests and cookies, packet by packet.
#[test]
fn syn_queue_is_measured() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Whydrop::start()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), 64)?;
    for _ in 0..5 {
        wire.peer(Family::V4, listener.port()).open()?;
    }
    let forced = Listener::new(wire.netns(), Family::V4.bind(), 64)?;
    wire.netns().sysctl("net/ipv4/tcp_syncookies", "2")?;
    for _ in 0..3 {
        wire.peer(Family::V4, forced.port()).handshake()?;
    }
    wire.barrier()?;
    let stopped = whydrop.stop()?;
    let half_open = row(&stopped, &listener)?;
    ensure_number(half_open, "/syn_queue/peak", 5)?;
    ensure_number(half_open, "/syn_queue/limit", 64)?;
    ensure_number(half_open, "/established", 0)?;
    let forced = row(&stopped, &forced)?;
    ensure_number(forced, "/cookies_sent", 3)?;
    ensure_number(forced, "/established", 3)?;
    ensure_number(forced, "/accept_queue/peak", 3)
}

/// A server that waits for a known time before it accepts.
#[test]
fn wait_is_the_time_in_the_queue() -> Result<()> {
    const WAIT: Duration = Duration::from_millis(60);
    let netns = Netns::new()?;
    let whydrop = Watch::new().args(["--stats", "200ms"]).start()?;
    if is_hidden(&whydrop.readiness()?, "blind", "accept-wait")? {
        whydrop.stop()?.ended_well()?;
        return skip("no hook tells here how long a connection waits");
    }
    let listener = Listener::new(&netns, Ipv4Addr::LOCALHOST.into(), 16)?;
    let mut longest = Duration::ZERO;
    for _ in 0..11 {
        let before = Instant::now();
        let _client = connect(&netns, Family::V4, &listener, 1)?;
        let after = Instant::now();
        while after.elapsed() < WAIT {
            std::hint::spin_loop();
        }
        accept(&listener, 1)?;
        longest = longest.max(before.elapsed());
    }
    let cookie = format!("{:#x}", listener.cookie());
    whydrop.wait_line("stats of the listener", |line| {
        line["type"] == "stats" && line["cookie"] == cookie && line["accepted"] == 11
    })?;
    let stopped = whydrop.stop()?;
    let row = row(&stopped, &listener)?;
    ensure_number(row, "/accepted", 11)?;
    ensure!(row["accepted_from"] == "hook", "a hook counts: {row}");
    let us = |name: &str| row["wait_us"][name].as_u64().context("no wait");
    let (p50, max) = (us("p50")?, us("max")?);
    let longest = longest.as_micros() as u64;
    let wait = WAIT.as_micros() as u64;
    ensure!(
        p50 >= wait - wait / 20 && p50 <= longest + longest / 20,
        "p50 {p50} us of {wait} to {longest} us"
    );
    ensure!(
        max >= wait && max <= longest,
        "max {max} us of {wait} to {longest} us"
    );
    Ok(())
}

/// Both ends of an episode, by cause, in this namespace.
fn episodes(stopped: &Stopped, netns: &Netns) -> Vec<(String, String)> {
    let of_pressure = stopped
        .events_in(netns.inum())
        .filter(|event| event.is("near-limit") || event.is("eased"));
    let named = of_pressure.map(|event| {
        let cause = event.cause().unwrap_or_default();
        (event.kind().to_owned(), cause.to_owned())
    });
    named.collect()
}

fn pair(kind: &str, cause: &str) -> (String, String) {
    (kind.to_owned(), cause.to_owned())
}

/// Up to 9 of 10, down to 3 and up to 9 again, and empty: two episodes, each told of twice.
#[test]
fn accept_queue_near_its_limit_is_told_once_an_episode() -> Result<()> {
    let netns = Netns::new()?;
    let whydrop = Watch::new().args(["--warn", "80%"]).start()?;
    let listener = Listener::new(&netns, Ipv4Addr::LOCALHOST.into(), 9)?;
    let mut served = Vec::new();
    let mut streams = Vec::new();
    let mut crossed = Vec::new();
    for round in 1..=2 {
        streams.extend(connect(&netns, Family::V4, &listener, 7)?);
        let before = now_ns();
        streams.extend(connect(&netns, Family::V4, &listener, 1)?);
        crossed.push((before, now_ns()));
        streams.extend(connect(&netns, Family::V4, &listener, 1)?);
        served.extend(accept(&listener, 9)?);
        whydrop.wait_events(round, "end of an episode", |event| event.is("eased"))?;
    }
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    let (near, eased) = (
        pair("near-limit", "accept-queue"),
        pair("eased", "accept-queue"),
    );
    let expected = [&near, &eased, &near, &eased].map(Clone::clone);
    ensure!(
        episodes(&stopped, &netns) == expected,
        "{:?}",
        stopped.events
    );
    let of_kind = |kind| {
        stopped
            .events_in(netns.inum())
            .filter(move |event| event.is(kind))
    };
    for (event, (before, after)) in of_kind("near-limit").zip(crossed) {
        ensure!(
            event.listener_cookie() == Some(listener.cookie()),
            "{event}"
        );
        ensure!(
            event.number("listener", "accept_queue_len")? == 8,
            "{event}"
        );
        let at = event.0["mono_ns"].as_u64().context("no time")?;
        ensure!(
            (before..after).contains(&at),
            "{at} not in {before}..{after}"
        );
    }
    for event in of_kind("eased") {
        ensure!(event.0["peak"] == 9, "{event}");
    }
    for kind in ["near-limit", "eased"] {
        ensure!(
            stopped.summary()?["events"][kind] == 2,
            "two {kind} are counted: {:?}",
            stopped.summary()?["events"]
        );
    }
    Ok(())
}

/// CLOCK_MONOTONIC, as events have it.
fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[test]
fn syn_queue_near_its_limit_is_told() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Watch::new().args(["--warn", "50"]).start()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), 7)?;
    let mut peers = Vec::new();
    for _ in 0..4 {
        let mut peer = wire.peer(Family::V4, listener.port());
        peer.open()?;
        peers.push(peer);
    }
    for peer in peers {
        peer.reset()?;
    }
    wire.barrier()?;
    let stopped = whydrop.stop()?;
    let told = episodes(&stopped, wire.netns());
    let expected = [pair("near-limit", "syn-queue"), pair("eased", "syn-queue")];
    ensure!(told == expected, "{told:?}");
    Ok(())
}

/// A server that keeps up, and one whose queue takes a single connection.
#[test]
fn sound_server_is_not_warned_of() -> Result<()> {
    let netns = Netns::new()?;
    let whydrop = Watch::new().args(["--warn", "80%"]).start()?;
    for listen_backlog in [1, 128] {
        let listener = Listener::new(&netns, Ipv4Addr::LOCALHOST.into(), listen_backlog)?;
        for _ in 0..100 {
            let _client = connect(&netns, Family::V4, &listener, 1)?;
            accept(&listener, 1)?;
        }
    }
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    let told = episodes(&stopped, &netns);
    ensure!(told.is_empty(), "{told:?}");
    Ok(())
}
