//! The watch ends when the answer does not change any more, and not before.

use anyhow::{Context, bail};

use super::*;

/// Longer than an answer that is certain takes.
const LONG: &str = "12s";

fn watched_s(answer: &Value) -> Result<f64> {
    answer["watched_s"].as_f64().context("no time")
}

/// A doubt, of decisions that were found late say, has it go on to the end: then once more.
#[test]
fn what_is_certain_comes_early() -> Result<()> {
    const TRIES: usize = 4;
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, 0, Work::Serve { rest_us: 300 })?;
    let mut doubts = Vec::new();
    for _ in 0..TRIES {
        let mut every = Every::new(PAUSE);
        let answer = ask(&netns, &[&to.to_string(), "--for", LONG], || {
            if every.is_due() {
                come_at_once(&netns, to)?;
            }
            Ok(())
        })?;
        expect(&answer, &["backlog-zero"])?;
        let early = &answer["early"];
        if early["of_s"] == 12.0 {
            ensure!(early["same_for_s"].as_f64() >= Some(3.0), "{answer:#}");
            ensure!((3.0..12.0).contains(&watched_s(&answer)?), "{answer:#}");
            return Ok(());
        }
        ensure!(early.is_null(), "{answer:#}");
        doubts.push((answer["doubts"].clone(), answer["adds_up"].clone()));
    }
    bail!("never: {doubts:?}")
}

#[test]
fn all_of_the_time_is_taken_where_that_is_asked_for() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, 0, Work::Serve { rest_us: 300 })?;
    let mut every = Every::new(PAUSE);
    let answer = ask(&netns, &[&to.to_string(), "--for", "5s", "--full"], || {
        if every.is_due() {
            come_at_once(&netns, to)?;
        }
        Ok(())
    })?;
    expect(&answer, &["backlog-zero"])?;
    ensure!(answer["early"].is_null(), "{answer:#}");
    ensure!(watched_s(&answer)? > 4.5, "{answer:#}");
    Ok(())
}

/// Nothing happened yet is no answer that could stay the same.
#[test]
fn nothing_is_waited_for_to_the_end() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, 128, Work::Serve { rest_us: 0 })?;
    let answer = ask(&netns, &[&to.to_string(), "--for", "5s"], || Ok(()))?;
    expect(&answer, &[])?;
    ensure!(answer["early"].is_null(), "{answer:#}");
    ensure!(watched_s(&answer)? > 4.5, "{answer:#}");
    Ok(())
}
