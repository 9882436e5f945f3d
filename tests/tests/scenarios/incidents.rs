//! `whydrop watch` tells of an incident when it begins and when it is over, whose it is and why, without being pointed at
//! it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use whydrop_tests::client::Client;
use whydrop_tests::deadline::{scaled, soon, wait_until};
use whydrop_tests::heard::Stopped;
use whydrop_tests::holder::{Birth, Holder, Work};
use whydrop_tests::listener::Listener;
use whydrop_tests::netns::Netns;
use whydrop_tests::whydrop::{Watch, Whydrop};

use crate::output::Folder;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const BACKLOG: i32 = 4;
/// More than any queue here holds.
const CLIENTS: usize = 12;

/// Nobody else on this host is refused there.
fn watch(netns: &Netns) -> Watch {
    Watch::new().args(["--netns", &netns.pid().to_string()])
}

/// A listener in whose queue connections wait until the one who holds it goes on.
fn stopped(netns: &Netns) -> Result<(SocketAddr, Holder)> {
    let listener = Listener::new(netns, HERE, BACKLOG)?;
    let birth = Birth {
        work: Work::Serve { rest_us: 0 },
        ..Birth::default()
    };
    let holder = Holder::born(&listener, birth)?;
    holder.signal(Signal::STOP)?;
    Ok((listener.address(), holder))
}

fn is_of(line: &Value, to: SocketAddr, phase: &str) -> bool {
    line["type"] == "incident" && line["addr"] == to.to_string() && line["phase"] == phase
}

fn told<'a>(stopped: &'a Stopped, to: SocketAddr, phase: &str) -> Result<&'a Value> {
    let mut all = stopped.others.iter();
    let told = all.find(|line| is_of(line, to, phase));
    told.with_context(|| format!("no {phase} of {to}"))
}

/// Clients come for so long, all of them at once and then one after another; the oldest give up.
fn press(netns: &Netns, to: &[SocketAddr], lasts: Duration) -> Result<()> {
    let began = Instant::now();
    let mut clients = Vec::new();
    wait_until("clients to have come", lasts + soon(), || {
        for to in to {
            clients.push(Client::connect(netns, *to)?);
        }
        if clients.len() > to.len() * CLIENTS {
            // Of those who are not in the queue.
            clients.drain(clients.len() - 2 * to.len()..clients.len() - to.len());
        }
        Ok(clients.len() >= to.len() * CLIENTS && began.elapsed() >= lasts)
    })
}

fn wait_for(whydrop: &Whydrop, to: SocketAddr, phase: &str) -> Result<()> {
    whydrop.wait_line(&format!("the {phase} at {to}"), |line| {
        is_of(line, to, phase)
    })
}

#[test]
fn one_that_stands_still_and_goes_on() -> Result<()> {
    let netns = Netns::new()?;
    let whydrop = watch(&netns).start()?;
    let before = netns.counters()?;
    let (to, holder) = stopped(&netns)?;
    press(&netns, &[to], scaled(Duration::from_millis(1500)))?;
    wait_for(&whydrop, to, "begin")?;
    holder.signal(Signal::CONT)?;
    wait_for(&whydrop, to, "end")?;
    let dropped = netns.counters()?.since(&before).get("ListenDrops");
    let stopped = whydrop.stop()?;
    let (begin, end) = (told(&stopped, to, "begin")?, told(&stopped, to, "end")?);
    ensure!(begin["id"] == end["id"], "{begin:#} {end:#}");
    ensure!(begin["verdicts"] == Value::Array(Vec::new()), "{begin:#}");
    for line in [begin, end] {
        ensure!(line["netns"] == netns.inum(), "{line:#}");
        let owner = &line["listeners"][0]["owner"][0]["pid"];
        ensure!(*owner == holder.pid(), "{line:#}");
    }
    ensure!(end["drops"] == dropped, "{dropped}: {end:#}");
    let verdict = &end["verdicts"][0];
    ensure!(verdict["id"] == "acceptor-stopped", "{end:#}");
    ensure!(verdict["evidence"][0]["says"].is_string(), "{end:#}");
    ensure!(end["top_clients"][0]["addr"] == HERE.to_string(), "{end:#}");
    Ok(())
}

#[test]
fn two_at_once() -> Result<()> {
    let netns = Netns::new()?;
    let whydrop = watch(&netns).start()?;
    let (one, first) = stopped(&netns)?;
    let (other, second) = stopped(&netns)?;
    press(&netns, &[one, other], Duration::from_millis(500))?;
    for to in [one, other] {
        wait_for(&whydrop, to, "begin")?;
    }
    first.signal(Signal::CONT)?;
    wait_for(&whydrop, one, "end")?;
    let stopped = whydrop.stop()?;
    second.signal(Signal::CONT)?;
    ensure!(told(&stopped, other, "end").is_err(), "the other goes on");
    let (end, cut) = (told(&stopped, one, "end")?, told(&stopped, other, "cut")?);
    ensure!(end["id"] != cut["id"], "{end:#} {cut:#}");
    Ok(())
}

#[test]
fn quiet_is_about_incidents_alone() -> Result<()> {
    let netns = Netns::new()?;
    let whydrop = watch(&netns).arg("--quiet").start()?;
    let (to, holder) = stopped(&netns)?;
    press(&netns, &[to], Duration::from_millis(200))?;
    holder.signal(Signal::CONT)?;
    wait_for(&whydrop, to, "end")?;
    let stopped = whydrop.stop()?;
    ensure!(stopped.events.is_empty(), "events were told");
    let shown = ["start", "incident", "loss", "heartbeat", "summary"];
    for line in &stopped.others {
        let is_shown = shown.iter().any(|kind| line["type"] == *kind);
        ensure!(is_shown, "{line:#}");
    }
    stopped.ended_well()
}

/// It needs `tee`.
#[test]
fn command_is_given_each_line() -> Result<()> {
    let netns = Netns::new()?;
    let folder = Folder::new("told of")?;
    let file = folder.path("lines");
    let command = format!("tee -a '{}'", file.display());
    let whydrop = watch(&netns).args(["--on-incident", &command]).start()?;
    let (to, holder) = stopped(&netns)?;
    press(&netns, &[to], Duration::from_millis(200))?;
    wait_for(&whydrop, to, "begin")?;
    holder.signal(Signal::CONT)?;
    wait_for(&whydrop, to, "end")?;
    let stopped = whydrop.stop()?;
    let told_of = std::fs::read_to_string(&file)?;
    let lines: Vec<Value> = told_of
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    for phase in ["begin", "end"] {
        let line = told(&stopped, to, phase)?;
        ensure!(lines.contains(line), "{phase}: {told_of}");
    }
    ensure!(
        stopped.stderr.contains("\"incident\""),
        "{}",
        stopped.stderr
    );
    Ok(())
}
