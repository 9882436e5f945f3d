//! `cargo xtask bench --quick`, and a step of `cargo xtask test`: ratios of figures of one run and counts of instructions,
//! against their bars. What the machine is and does falls on both figures of a ratio and changes no count, so that what
//! misses its bar is a change of whydrop.

use std::path::Path;

use anyhow::{Result, bail};

use super::judgement::{self, Ratio};
use super::{figures_of, scenarios, user};

const WHICH: [&str; 2] = ["bench::hooks::", "bench::flood::"];

/// Whatever else the machine does makes a ratio worse, never better: one that misses its bar is measured so often, and the
/// best of them counts.
const TRIES: usize = 3;

pub(crate) fn run(whydrop: &Path) -> Result<()> {
    let user = user::ratios()?;
    let mut best: Vec<Ratio> = Vec::new();
    for _ in 0..TRIES {
        let mut scenarios = scenarios(whydrop, &WHICH);
        scenarios.env("WHYDROP_BENCH", "quick");
        let mut figures = figures_of(scenarios, false)?;
        figures.user.clone_from(&user);
        let ratios = figures.ratios();
        judge(&exact(&ratios))?;
        best = better(best, ratios);
        print!("{}", judgement::table(&best));
        if best.iter().all(Ratio::holds) {
            break;
        }
    }
    judge(&best)
}

/// Those of which there may be nothing at all: they hold each time, or not.
fn exact(ratios: &[Ratio]) -> Vec<Ratio> {
    let exact = ratios.iter().filter(|ratio| ratio.bar <= 0.0);
    exact.cloned().collect()
}

/// Of each ratio the better one.
fn better(before: Vec<Ratio>, now: Vec<Ratio>) -> Vec<Ratio> {
    let best = now.into_iter().map(|now| {
        let before = before.iter().find(|before| before.what == now.what);
        before
            .filter(|before| before.is_better_than(&now))
            .cloned()
            .unwrap_or(now)
    });
    best.collect()
}

/// An error that names what misses its bar.
pub(super) fn judge(ratios: &[Ratio]) -> Result<()> {
    let missed = ratios.iter().filter(|ratio| !ratio.holds());
    let missed: Vec<&str> = missed.map(|ratio| ratio.what.as_str()).collect();
    if missed.is_empty() {
        return Ok(());
    }
    bail!(
        "{} of {} ratios miss their bars (xtask/src/bench/bars.rs): {}. Is it so again (`cargo xtask bench --quick`), and \
         before your change?",
        missed.len(),
        ratios.len(),
        missed.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::judgement::Wanted;
    use super::*;

    fn ratio(what: &str, value: f64) -> Ratio {
        Ratio {
            what: what.to_owned(),
            value,
            bar: 1.0,
            wanted: Wanted::AtMost,
        }
    }

    #[test]
    fn the_best_of_several_counts() {
        let best = better(
            vec![ratio("this", 0.9), ratio("that", 1.5)],
            vec![ratio("this", 1.2), ratio("that", 1.1), ratio("new", 2.0)],
        );
        let values: Vec<f64> = best.iter().map(|ratio| ratio.value).collect();
        assert_eq!(values, [0.9, 1.1, 2.0]);
        // What could not be measured is no better than anything.
        let best = better(vec![ratio("this", f64::NAN)], vec![ratio("this", 3.0)]);
        assert!((best[0].value - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_must_be_nothing_is_measured_once() {
        let nothing = Ratio {
            bar: 0.0,
            ..ratio("this", 1.0)
        };
        assert!(judge(&exact(&[nothing, ratio("that", 2.0)])).is_err());
        assert!(judge(&exact(&[ratio("that", 2.0)])).is_ok());
    }

    #[test]
    fn what_misses_its_bar_is_named() {
        assert!(judge(&[ratio("this", 1.0)]).is_ok());
        let error = judge(&[ratio("this", 1.0), ratio("that", 1.1)]).expect_err("a miss");
        assert!(error.to_string().starts_with("1 of 2 ratios miss"));
        assert!(error.to_string().contains(": that."));
    }
}
