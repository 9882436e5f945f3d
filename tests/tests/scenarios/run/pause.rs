//! A server that does not accept for a while: the report says when, for how long, why, and how late it made clients.

use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use whydrop_tests::client::Client;
use whydrop_tests::command::Running;
use whydrop_tests::deadline::{soon, wait_until};
use whydrop_tests::holder::{Birth, Holder, Work};
use whydrop_tests::listener::Listener;
use whydrop_tests::netns::Netns;
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::binary;

use super::{Report, ensure_incidents, start_waiting};
use crate::lifecycle::Scratch;

/// A server that accepts, but for the time that it is stopped: clients that find its queue full come again.
#[test]
fn pause_of_the_application() -> Result<()> {
    // More room among the half-open than clients come again: none is answered by a SYN cookie.
    const BACKLOG: i32 = 16;
    const CLIENTS: usize = 24;
    const PAUSED: Duration = Duration::from_millis(600);
    let file = Scratch::new("run-pause.json");
    let path = file.0.to_str().context("no UTF-8")?;
    let netns = Netns::new()?;
    let here = netns.pid().to_string();
    let listener = Listener::new(&netns, Ipv4Addr::LOCALHOST.into(), BACKLOG)?;
    let birth = Birth {
        work: Work::Serve { rest_us: 0 },
        ..Birth::default()
    };
    let server = Holder::born(&listener, birth)?;
    // Only the server holds it.
    let to = listener.address();
    drop(listener);
    let recording = Scratch::new("run-pause.whydrop");
    let kept = recording.0.to_str().context("no UTF-8")?;
    let mut options = vec!["--netns", &here, "--format", "json", "--report", path];
    options.extend(["--record", kept]);
    let running = start_waiting(&options)?;
    let truth = Truth::begin(&netns)?;
    Client::connect(&netns, to)?.into_stream()?;

    server.signal(Signal::STOP)?;
    let paused = Instant::now();
    let mut clients = Vec::new();
    let played = wait_until("the end of the pause", soon(), || {
        if clients.len() < CLIENTS {
            clients.push(Client::connect(&netns, to)?);
        }
        Ok(clients.len() == CLIENTS && paused.elapsed() >= PAUSED)
    });
    let refused = truth.moved(&netns)?.get("ListenOverflows");
    let late = clients
        .iter()
        .map(|client| client.ended_within(Duration::ZERO));
    let late = late.collect::<Result<Vec<_>>>();
    let shortest = paused.elapsed();
    server.signal(Signal::CONT)?;
    played?;
    let late = late?;
    // Whoever is accepted is sent away.
    let mut longest = Duration::ZERO;
    for (client, connected) in clients.into_iter().zip(&late) {
        let mut stream = client.into_stream()?;
        stream.set_read_timeout(Some(soon()))?;
        stream
            .read_to_end(&mut Vec::new())
            .context("not accepted")?;
        if *connected {
            longest = paused.elapsed();
        }
    }
    let late = late.iter().filter(|connected| !**connected).count();
    running.finish()?.ensure_status(0)?;

    let report = Report::of(&file.0)?;
    report.ensure_verdict("dropped")?;
    let run = report.run()?;
    let in_all = truth.moved(&netns)?.get("ListenOverflows");
    ensure!(refused > 0 && late > 0, "the kernel refused nobody");
    ensure_incidents(run, in_all)?;
    let incident = &run["incidents"][0];
    let gap = &incident["accept_gap"];
    let number = |name: &str| {
        gap[name]
            .as_u64()
            .with_context(|| format!("no {name}: {run}"))
    };
    let precision = Duration::from_millis(2 * number("precision_ms")?);
    let told = Duration::from_millis(number("ms")?);
    ensure!(
        told + precision >= shortest && told <= longest + precision,
        "it was stopped for {shortest:?} to {longest:?}: {incident}"
    );
    let curve = incident["accept_queue"].as_array().context("no curve")?;
    let peak = curve.iter().filter_map(|point| point["len"].as_u64()).max();
    ensure!(peak == Some(BACKLOG as u64 + 1), "{incident}");
    let threads = incident["threads"].as_array().context("no threads")?;
    ensure!(
        threads.iter().any(|thread| thread["state"] == "stopped"),
        "{incident}"
    );
    let verdict = &run["answers"][0]["verdicts"][0];
    ensure!(verdict["id"] == "acceptor-stopped", "{run}");
    let outcomes = &run["stories"]["outcomes"];
    ensure!(
        outcomes["connected-late"] == late,
        "{late} were late: {run}"
    );
    // A client sends its SYN again after a second, and after two more.
    let delay = run["stories"]["delay_ms"]["p50"].as_f64();
    ensure!(delay.is_some_and(|ms| ms >= 900.0), "{run}");
    ensure_told_again(&file, kept)
}

/// From the recording alone, byte for byte.
fn ensure_told_again(live: &Scratch, kept: &str) -> Result<()> {
    let again = Scratch::new("run-again.json");
    let path = again.0.to_str().context("no UTF-8")?;
    let mut command = Command::new(binary()?);
    command.args(["run", "--format", "json", "--from", kept, "--report", path]);
    Running::start(command)?.finish()?.ensure_status(0)?;
    let (live, again) = (fs::read_to_string(&live.0)?, fs::read_to_string(&again.0)?);
    ensure!(live == again, "live:\n{live}\nagain:\n{again}");
    Ok(())
}
