//! `whydrop verify`: it passes where everybody was taken, fails where somebody was not, and proves nothing where nobody came.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use whydrop_tests::client::Client;
use whydrop_tests::command::{Over, Running, line_of_type, lines, whydrop};
use whydrop_tests::deadline::{soon, wait_until};
use whydrop_tests::family::Family;
use whydrop_tests::listener::{Listener, Options, unused_port};
use whydrop_tests::netns::Netns;
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::{Watch, binary};
use whydrop_tests::wire::Wire;

use crate::lifecycle::Scratch;

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// One that watches a port of a namespace.
fn start(netns: &Netns, port: u16, options: &[&str]) -> Result<Running> {
    let (port, here) = (port.to_string(), netns.pid().to_string());
    let few = ["--at-least", "1"];
    let arguments = [&[port.as_str(), "--netns", &here], &few[..], options].concat();
    let mut running = Running::start(whydrop("verify", &arguments)?)?;
    let line = running.error_line()?;
    ensure!(
        line.starts_with(&format!("whydrop: watching :{port} for ")),
        "it says {line}"
    );
    Ok(running)
}

/// Ended by Ctrl-C, with this status and verdict.
fn judged(running: Running, status: i32, verdict: &str) -> Result<Vec<Value>> {
    running.signal(Signal::INT)?;
    ensure_judged(running.finish()?, status, verdict)
}

fn ensure_judged(over: Over, status: i32, verdict: &str) -> Result<Vec<Value>> {
    over.ensure_status(status)?;
    let lines = lines(&over.stdout)?;
    let line = line_of_type(&lines, "verify")?;
    ensure!(line["verdict"] == verdict, "not {verdict}: {line}");
    Ok(lines)
}

/// So many connections, all of them accepted.
fn serve(netns: &Netns, listeners: &[&Listener], n: usize) -> Result<Vec<TcpStream>> {
    let port = listeners.first().context("no listener")?.port();
    let to = SocketAddr::new(Family::V4.loopback(), port);
    let mut streams = Vec::new();
    for _ in 0..n {
        streams.push(Client::connect(netns, to)?.into_stream()?);
        let before = streams.len();
        wait_until("a connection to accept", soon(), || {
            for listener in listeners {
                streams.extend(listener.accept()?);
            }
            Ok(streams.len() > before)
        })?;
    }
    Ok(streams)
}

const JSON: [&str; 4] = ["--format", "json", "--for", "10m"];

#[test]
fn sound_listener_holds() -> Result<()> {
    let netns = Netns::new()?;
    let listener = Listener::new(&netns, ANY, 8)?;
    let running = start(&netns, listener.port(), &JSON)?;
    let _streams = serve(&netns, &[&listener], 5)?;
    let lines = judged(running, 0, "held")?;
    let line = line_of_type(&lines, "verify")?;
    ensure!(line["established"] == 5 && line["accepted"] == 5, "{line}");
    ensure!(line["refusals"] == 0 && line["asked_s"] == 600.0, "{line}");
    let notes = line["notes"].to_string();
    ensure!(notes.contains("ended early"), "it says {notes}");
    let stats = &line_of_type(&lines, "summary")?["stats"];
    ensure!(stats[0]["accept_queue"]["limit"] == 8, "{stats}");
    Ok(())
}

#[test]
fn its_time_ends_it() -> Result<()> {
    let netns = Netns::new()?;
    let listener = Listener::new(&netns, ANY, 8)?;
    let running = start(&netns, listener.port(), &["--for", "2s"])?;
    let _streams = serve(&netns, &[&listener], 1)?;
    let over = running.finish()?;
    over.ensure_status(0)?;
    let text = String::from_utf8_lossy(&over.stdout);
    ensure!(
        text.starts_with("held: 1 connected and nobody was refused"),
        "it says: {text}"
    );
    ensure!(!text.contains("early"), "it says: {text}");
    Ok(())
}

#[test]
fn overflow_does_not_hold() -> Result<()> {
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), 1)?;
    let running = start(wire.netns(), listener.port(), &JSON)?;
    let truth = Truth::begin(wire.netns())?;
    wire.fill(&listener)?;
    for _ in 0..3 {
        wire.peer(Family::V4, listener.port()).syn()?;
    }
    wire.barrier()?;
    let refused = truth.moved(wire.netns())?.get("ListenDrops");
    ensure!(refused == 3, "the kernel refused {refused}");
    let lines = judged(running, 1, "not-held")?;
    let line = line_of_type(&lines, "verify")?;
    ensure!(line["refusals"] == refused, "{line}");
    ensure!(line["established"] == 2 && line["accepted"] == 0, "{line}");
    let reasons = line["reasons"].to_string();
    ensure!(reasons.contains("3 overflow (3 syn)"), "it says {reasons}");
    ensure!(
        reasons.contains("came to its limit: 2/1"),
        "it says {reasons}"
    );
    Ok(())
}

/// Nobody was refused yet.
#[test]
fn queue_at_its_limit_does_not_hold() -> Result<()> {
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), 8)?;
    let running = start(wire.netns(), listener.port(), &JSON)?;
    (0..4).try_for_each(|_| wire.fill(&listener))?;
    listener.wait_queued(8)?;
    let lines = judged(running, 1, "not-held")?;
    let line = line_of_type(&lines, "verify")?;
    ensure!(line["refusals"] == 0, "{line}");
    let reasons = line["reasons"].to_string();
    ensure!(
        reasons.contains("came to its limit: 8/8"),
        "it says {reasons}"
    );
    Ok(())
}

#[test]
fn nothing_came_proves_nothing() -> Result<()> {
    let netns = Netns::new()?;
    let listener = Listener::new(&netns, ANY, 8)?;
    let text = |port: u16| -> Result<String> {
        let running = start(&netns, port, &[])?;
        running.signal(Signal::TERM)?;
        let over = running.finish()?;
        over.ensure_status(1)?;
        let text = String::from_utf8_lossy(&over.stdout).into_owned();
        ensure!(
            text.starts_with("not proved: no connection came"),
            "it says: {text}"
        );
        Ok(text)
    };
    let nobody_came = text(listener.port())?;
    ensure!(
        !nobody_came.contains("nobody listens"),
        "it says: {nobody_came}"
    );
    let nobody_there = text(unused_port(&netns, ANY)?)?;
    ensure!(
        nobody_there.contains("nobody listens"),
        "it says: {nobody_there}"
    );
    Ok(())
}

/// What another listener refuses moves the same counters.
#[test]
fn refusals_of_others_are_theirs() -> Result<()> {
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), ANY, 8)?;
    let running = start(wire.netns(), listener.port(), &JSON)?;
    let other = wire.full_listener()?;
    wire.peer(Family::V4, other.port()).syn()?;
    wire.barrier()?;
    let _streams = serve(wire.netns(), &[&listener], 2)?;
    judged(running, 0, "held")?;
    Ok(())
}

#[test]
fn every_member_of_a_group_is_judged() -> Result<()> {
    const EACH: usize = 40;
    let netns = Netns::new()?;
    let member = |port| {
        let options = Options {
            port,
            listen_backlog: 8,
            reuse_port: true,
            ..Options::default()
        };
        Listener::with(&netns, ANY, options)
    };
    let first = member(0)?;
    let second = member(first.port())?;
    let running = start(&netns, first.port(), &JSON)?;
    let _streams = serve(&netns, &[&first, &second], EACH)?;
    let lines = judged(running, 0, "held")?;
    let line = line_of_type(&lines, "verify")?;
    ensure!(
        line["established"] == EACH && line["accepted"] == EACH,
        "{line}"
    );
    let stats = line_of_type(&lines, "summary")?["stats"].as_array();
    ensure!(stats.is_some_and(|rows| rows.len() == 2), "{stats:?}");

    // The second one stops accepting, and is not helped by the first.
    let running = start(&netns, first.port(), &JSON)?;
    let to = SocketAddr::new(Family::V4.loopback(), first.port());
    let mut clients = Vec::new();
    let mut served = Vec::new();
    wait_until("a refusal", soon(), || {
        clients.push(Client::connect(&netns, to)?);
        served.extend(first.accept()?);
        Ok(second.drops()? > 0)
    })?;
    let lines = judged(running, 1, "not-held")?;
    let rows = line_of_type(&lines, "summary")?["listeners"].as_array();
    let second = format!("{:#x}", second.cookie());
    ensure!(
        rows.is_some_and(|rows| rows.iter().any(|row| row["cookie"] == second)),
        "{rows:?}"
    );
    Ok(())
}

#[test]
fn arguments_that_make_no_sense() -> Result<()> {
    for arguments in [
        &["0"][..],
        &["nowhere:80"],
        &[],
        &["80", "--for", "0s"],
        &["80", "--tier", "counters"],
        &["80", "--netns", "no-such-namespace"],
    ] {
        let over = Running::start(whydrop("verify", arguments)?)?.finish()?;
        over.ensure_status(2)?;
    }
    Ok(())
}

/// Judged again, by the recording alone, and by one of a watch that nobody asked about this listener.
#[test]
fn recorded_listener_is_judged_again() -> Result<()> {
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), 1)?;
    let (recording, of_watch) = (
        Scratch::new("verify.whydrop"),
        Scratch::new("verify-watch.whydrop"),
    );
    let file = recording.0.to_str().context("no UTF-8")?;
    let watch = of_watch.0.to_str().context("no UTF-8")?;
    let watching = Watch::new().args(["--record", watch]).start()?;
    let (port, here) = (listener.port().to_string(), wire.netns().pid().to_string());
    let options = [
        &[port.as_str(), "--netns", &here, "--record", file],
        &JSON[..],
    ]
    .concat();
    let mut running = Running::start(whydrop("verify", &options)?)?;
    while !running.error_line()?.contains("watching ") {}
    wire.fill(&listener)?;
    for _ in 0..3 {
        wire.peer(Family::V4, listener.port()).syn()?;
    }
    wire.barrier()?;
    running.signal(Signal::INT)?;
    let live = running.finish()?;
    let stopped = watching.stop()?;
    ensure!(stopped.code == Some(0), "{}", stopped.stderr);
    let again = |port: &str, file| -> Result<Over> {
        let mut command = Command::new(binary()?);
        command.args(["verify", port, "--format", "json", "--from", file]);
        Running::start(command)?.finish()
    };
    let same = again(&port, file)?;
    let text = |over: &Over| String::from_utf8_lossy(&over.stdout).into_owned();
    ensure!(
        same.stdout == live.stdout,
        "live:\n{}\nagain:\n{}",
        text(&live),
        text(&same)
    );
    ensure_judged(live, 1, "not-held")?;
    ensure_judged(same, 1, "not-held")?;
    let lines = ensure_judged(again(&port, watch)?, 1, "not-held")?;
    let line = line_of_type(&lines, "verify")?;
    ensure!(line["refusals"] == 3 && line["established"] == 2, "{line}");
    // Of another nothing was recorded.
    ensure_judged(again("1", file)?, 1, "cannot-tell")?;
    // To another nothing came, and who was there meanwhile is not known.
    again("1", watch)?.ensure_status(1)
}
