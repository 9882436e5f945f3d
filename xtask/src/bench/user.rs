//! Instructions of an event in user space, from its record to its line, as callgrind counts them. Neither the machine nor
//! what else it does changes them, so that more of them are a change of whydrop.

use std::path::Path;

use anyhow::{Context, Result};

use super::bars::LINES;
use super::judgement::{Ratio, Wanted};
use crate::{artifacts, proc};

/// A turn of the bench is a batch of so many events (probe-user/benches/event.rs).
const BATCH: u32 = 100;
/// Samples of each measurement, and as many turns in a sample: together they last a second or two.
const TURNS: u32 = 10;
const EVENTS: u32 = BATCH * TURNS * TURNS;

/// For each format what an event takes.
pub(super) fn ratios() -> Result<Vec<Ratio>> {
    let bench = artifacts::event_bench()?;
    let judged = LINES.iter().map(|line| {
        Ok(Ratio {
            what: format!("an event as {}: instructions in user space", line.format),
            value: instructions(&bench, line.bench)?,
            bar: line.instructions,
            wanted: Wanted::AtMost,
        })
    });
    judged.collect()
}

/// Of one event.
fn instructions(bench: &Path, format: &str) -> Result<f64> {
    let mut callgrind = proc::command(
        "valgrind",
        [
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            // Without what the bench itself does.
            "--toggle-collect=*Pipeline*run*",
        ],
    );
    let turns = TURNS.to_string();
    callgrind.arg(bench).args(["--bench", format]);
    callgrind.args(["--sample-count", &turns, "--sample-size", &turns]);
    let output = callgrind.output().context("cannot start valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = collected(&said)
        .filter(|_| output.status.success())
        .with_context(|| format!("valgrind did not count ({}): {said}", output.status))?;
    Ok(collected / f64::from(EVENTS))
}

/// The number behind `Collected :`. Nothing collected is a name that no longer fits.
fn collected(said: &str) -> Option<f64> {
    let (_, number) = said
        .lines()
        .find_map(|line| line.split_once("Collected :"))?;
    number.trim().parse().ok().filter(|&number| number > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_collected_is_read() {
        let said = "==7== Events    : Ir\n==7== Collected : 47572765\n==7==\n";
        assert_eq!(collected(said), Some(47_572_765.0));
        assert_eq!(collected("==7== Collected : 0\n"), None);
        assert_eq!(collected("==7== Command: event\n"), None);
    }
}
