//! What an event pays in user space: refusals at a steady rate, each of them a line that somebody reads.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use whydrop_tests::log::say_figure;
use whydrop_tests::process::{self, Kept};
use whydrop_tests::programs;
use whydrop_tests::steady::Steady;
use whydrop_tests::whydrop::{binary, forced_tier};
use whydrop_tests::wire::Wire;

use super::{middle, syns};
use crate::lifecycle::Scratch;

const ROUNDS: u32 = 9;
const ROUND: Steady = Steady {
    rate: 10_000,
    seconds: 1,
};

/// Lines in this format, and into this recording; `name` is that of the figure.
fn lines(name: &str, format: &str, recording: Option<&Path>) -> Result<()> {
    let _counting = programs::count()?;
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let syns = syns(&listener);
    let tier = forced_tier().map(|tier| format!("--tier={tier}"));
    let child = Command::new(binary()?)
        .args(["watch", "--detail=all", "--format", format])
        .args(recording.map(|_| "--record"))
        .args(recording)
        .args(tier)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut whydrop = Kept(child);
    let mut lines = BufReader::new(whydrop.0.stdout.take().context("no stdout")?);
    lines.read_line(&mut String::new())?;
    let reader = thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    let each = f64::from(ROUND.packets());
    let (mut rate, mut process, mut programs) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let before = programs::cpu(whydrop.0.id())?;
        let took = ROUND.send(&wire, &syns)?;
        let after = programs::cpu(whydrop.0.id())?;
        rate.push(each / took.as_secs_f64());
        process.push(after.0.saturating_sub(before.0).as_nanos() as f64 / each);
        programs.push(after.1.saturating_sub(before.1).as_nanos() as f64 / each);
    }
    process::signal(whydrop.0.id(), Signal::INT)?;
    whydrop.0.wait()?;
    let read = reader
        .join()
        .map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    ensure!(
        read as f64 > each * f64::from(ROUNDS) * 80.0,
        "{read} bytes are not a line of each"
    );
    let [rate, process, programs] = [rate, process, programs].map(middle);
    let bytes = match recording {
        Some(file) => std::fs::metadata(file)?.len() as f64 / (each * f64::from(ROUNDS)),
        None => 0.0,
    };
    say_figure(format_args!(
        "line {name} {rate:.0} {process:.0} {programs:.0} {bytes:.1}"
    ))
}

#[test]
#[ignore = "prints figures"]
fn lines_for_people_and_machines() -> Result<()> {
    lines("text", "text", None)?;
    lines("json", "json", None)
}

#[test]
#[ignore = "prints figures"]
fn lines_that_are_recorded_too() -> Result<()> {
    let file = Scratch::new("bench.whydrop");
    lines("recorded", "json", Some(&file.0))
}
