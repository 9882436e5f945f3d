//! An earlier recording beside what is now: `verify --against` and `run --against`.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use whydrop_tests::command::{Running, line_of_type, lines, whydrop};
use whydrop_tests::family::Family;
use whydrop_tests::listener::{Listener, Options};
use whydrop_tests::whydrop::{Watch, binary};
use whydrop_tests::wire::Wire;

use crate::lifecycle::Scratch;

/// Verifies a listener until `traffic` has been there; what was told.
fn verify(
    wire: &Wire,
    port: u16,
    options: &[&str],
    traffic: impl FnOnce() -> Result<()>,
) -> Result<Value> {
    let (port, here) = (port.to_string(), wire.netns().pid().to_string());
    let all = [&port, "--netns", &here, "--format", "json", "--for", "10m"];
    let mut running = Running::start(whydrop("verify", &[&all[..], options].concat())?)?;
    while !running.error_line()?.contains("watching ") {}
    traffic()?;
    wire.barrier()?;
    running.signal(Signal::INT)?;
    let lines = lines(&running.finish()?.stdout)?;
    Ok(line_of_type(&lines, "verify")?.clone())
}

fn refuse(wire: &Wire, listener: &Listener, n: usize) -> Result<()> {
    wire.fill(listener)?;
    for _ in 0..n {
        wire.peer(Family::V4, listener.port()).syn()?;
    }
    Ok(())
}

#[test]
fn before_and_after_a_change() -> Result<()> {
    let wire = Wire::new()?;
    let before = Scratch::new("against.whydrop");
    let file = before.0.to_str().context("no UTF-8")?;
    let small = Listener::new(wire.netns(), Family::V4.bind(), 1)?;
    let port = small.port();
    verify(&wire, port, &["--record", file], || {
        refuse(&wire, &small, 3)
    })?;
    drop(small);
    let options = ["--against", file, "--at-least", "1"];
    let changed = Options {
        listen_backlog: 128,
        port,
        ..Options::default()
    };
    let large = Listener::with(wire.netns(), Family::V4.bind(), changed)?;
    let now = verify(&wire, port, &options, || wire.fill(&large))?;
    ensure!(now["verdict"] == "held", "{now:#}");
    let ports = &now["against"]["ports"];
    ensure!(ports.as_array().map(Vec::len) == Some(1), "{now:#}");
    let (then, after) = (&ports[0]["then"], &ports[0]["now"]);
    ensure!(ports[0]["port"] == port, "{now:#}");
    ensure!(then["refusals"] == 3 && after["refusals"] == 0, "{now:#}");
    ensure!(
        then["established"] == 2 && after["established"] == 2,
        "{now:#}"
    );
    ensure!(
        then["accept_queue_peak"] == 2 && then["accept_queue_limit"] == 1,
        "{now:#}"
    );
    ensure!(after["accept_queue_limit"] == 128, "{now:#}");
    ensure!(then["refusals_per_s"].as_f64() > Some(0.0), "{now:#}");
    Ok(())
}

/// What nobody looked for then is not zero.
#[test]
fn what_is_not_recorded_is_said() -> Result<()> {
    let wire = Wire::new()?;
    let before = Scratch::new("against-other.whydrop");
    let file = before.0.to_str().context("no UTF-8")?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), 8)?;
    let watching = Watch::new().args(["--listener", ":1", "--record", file]);
    ensure!(watching.start()?.stop()?.code == Some(0), "it failed");
    let now = verify(&wire, listener.port(), &["--against", file], || {
        wire.fill(&listener)
    })?;
    let then = &now["against"]["ports"][0]["then"];
    let all = then.as_object().context("no figures")?;
    ensure!(all.values().all(Value::is_null), "{now:#}");
    let notes = now["against"]["notes"].to_string();
    ensure!(notes.contains("then listener :1 was watched"), "{now:#}");
    Ok(())
}

#[test]
fn run_has_a_table_too() -> Result<()> {
    let wire = Wire::new()?;
    let before = Scratch::new("against-run.whydrop");
    let file = before.0.to_str().context("no UTF-8")?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), 1)?;
    verify(&wire, listener.port(), &["--record", file], || {
        refuse(&wire, &listener, 3)
    })?;
    let here = wire.netns().pid().to_string();
    let only = format!(":{}", listener.port());
    let options = [
        "--netns",
        &here,
        "--listener",
        &only,
        "--against",
        file,
        "--",
        "true",
    ];
    let over = Running::start(whydrop("run", &options)?)?.finish()?;
    over.ensure_status(0)?;
    for says in [
        "against ",
        "THEN",
        "3 (",
        "late (p50, p99, max)",
        "not recorded",
    ] {
        over.ensure_says(says)?;
    }
    Ok(())
}

#[test]
fn a_recording_that_is_not_there() -> Result<()> {
    let mut command = Command::new(binary()?);
    command.args(["verify", "80", "--against", "/nowhere/at/all.whydrop"]);
    let over = Running::start(command)?.finish()?;
    over.ensure_status(2)?;
    over.ensure_says("/nowhere/at/all.whydrop")
}
