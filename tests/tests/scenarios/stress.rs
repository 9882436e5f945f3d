//! Thousands of overflows from several clients against a slow acceptor, on all
//! processors at once: not one may be left over in the reconciliation.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::event::{Timespec, poll};
use whydrop_tests::client::connect_here;
use whydrop_tests::deadline::{scaled, wait_until};
use whydrop_tests::family::Family;
use whydrop_tests::listener::Listener;
use whydrop_tests::log::say;
use whydrop_tests::truth::{Truth, row};
use whydrop_tests::whydrop::Whydrop;
use whydrop_tests::wire::Wire;

/// At least so many, and among them connections that were made, so that the
/// queue has been full and not full many times.
const OVERFLOWS: u64 = 5_000;
const CONNECTIONS: u64 = 1_000;
const LISTEN_BACKLOG: i32 = 8;
const LIMIT: Duration = Duration::from_secs(20);
/// Between two accepts: slow, but enough for the queue to change all the time.
const ACCEPT_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000,
};

#[test]
fn without_cookies() -> Result<()> {
    stress("0")
}

#[test]
fn with_cookies() -> Result<()> {
    stress("1")
}

#[test]
fn with_nothing_but_cookies() -> Result<()> {
    stress("2")
}

fn stress(syncookies: &str) -> Result<()> {
    let wire = Wire::new()?;
    wire.netns().sysctl("net/ipv4/tcp_syncookies", syncookies)?;
    let listener = Listener::new(wire.netns(), Ipv6Addr::UNSPECIFIED.into(), LISTEN_BACKLOG)?;
    let whydrop = Whydrop::start()?;
    let truth = Truth::begin(wire.netns())?;

    press(&wire, &listener, || {
        let moved = truth.moved(wire.netns())?;
        Ok(moved.get("ListenOverflows") >= OVERFLOWS && moved.get("PassiveOpens") >= CONNECTIONS)
    })?;
    settle(&wire)?;

    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    truth.check_rows(wire.netns(), &stopped, true)?;
    let overflows =
        row(&stopped, wire.netns(), "ListenOverflows")?.context("no row for ListenOverflows")?;
    let shown = stopped
        .events_in(wire.netns().inum())
        .filter(|event| event.is("overflow"))
        .count() as u64;
    say(format_args!("STRESS syncookies={syncookies} {overflows}"))?;
    ensure!(shown == overflows.seen, "{shown} lines, but {overflows:?}");
    Ok(())
}

/// Clients over three families and a slow acceptor, until it is enough; the
/// test itself injects handshakes on the wire meanwhile.
fn press(wire: &Wire, listener: &Listener, enough: impl Fn() -> Result<bool>) -> Result<()> {
    let done = AtomicBool::new(false);
    let netns = wire.netns();
    thread::scope(|scope| {
        let mut workers = vec![scope.spawn(|| accept_slowly(listener, &done))];
        for family in Family::ALL {
            let to = SocketAddr::new(family.loopback(), listener.port());
            let done = &done;
            workers.push(scope.spawn(move || netns.run(|| connect_all_the_time(to, done))?));
        }
        let pressed = wait_until("enough overflows", scaled(LIMIT), || {
            inject(wire, listener)?;
            enough()
        });
        done.store(true, Relaxed);
        for worker in workers {
            worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        }
        pressed
    })
}

/// Loopback may still hold packets when the last client is gone: waits until
/// the counters stand still.
fn settle(wire: &Wire) -> Result<()> {
    let mut before = wire.netns().counters()?;
    wait_until("the end of the traffic", scaled(LIMIT), || {
        let now = wire.netns().counters()?;
        let moved = now.since(&before).get("ListenDrops");
        before = now;
        Ok(moved == 0)
    })
}

/// Room for some, then handshakes whose ACKs come all at once: by then the
/// other clients have filled the queue again, so many meet a full one.
fn inject(wire: &Wire, listener: &Listener) -> Result<()> {
    while listener.accept()?.is_some() {}
    let port = listener.port();
    let mut peers: Vec<_> = (0..12)
        .map(|n| wire.peer(Family::ALL[n % 3], port))
        .collect();
    for peer in &peers {
        peer.syn()?;
    }
    for peer in &mut peers {
        if peer.answered()? {
            peer.ack()?;
            peer.ack()?;
            peer.reset()?;
        }
    }
    wire.forget_unread();
    Ok(())
}

fn connect_all_the_time(to: SocketAddr, done: &AtomicBool) -> Result<()> {
    while !done.load(Relaxed) {
        // Over loopback the SYN has met its fate when connect(2) returns.
        drop(connect_here(to)?);
    }
    Ok(())
}

fn accept_slowly(listener: &Listener, done: &AtomicBool) -> Result<()> {
    while !done.load(Relaxed) {
        drop(listener.accept()?);
        poll(&mut [], Some(&ACCEPT_EVERY))?;
    }
    Ok(())
}
