//! `cargo xtask bench --quick`, and a step of `cargo xtask test`: ratios of figures of one run and counts of instructions,
//! against their bars. What the machine is and does falls on both figures of a ratio and changes no count, so that what
//! misses its bar is a change of whydrop.

use std::path::Path;

use anyhow::{Result, bail};

use super::judgement::{self, Ratio};
use super::{figures_of, scenarios, user};

const WHICH: [&str; 2] = ["bench::hooks::", "bench::flood::"];

pub fn run(whydrop: &Path) -> Result<()> {
    let mut scenarios = scenarios(whydrop, &WHICH);
    scenarios.env("WHYDROP_BENCH", "quick");
    let mut figures = figures_of(scenarios, false)?;
    figures.user = user::ratios()?;
    let ratios = figures.ratios();
    print!("{}", judgement::table(&ratios));
    judge(&ratios)
}

/// An error that names what misses its bar.
pub fn judge(ratios: &[Ratio]) -> Result<()> {
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

    #[test]
    fn what_misses_its_bar_is_named() {
        let ratio = |what: &str, value| Ratio {
            what: what.to_owned(),
            value,
            bar: 1.0,
            wanted: Wanted::AtMost,
        };
        assert!(judge(&[ratio("this", 1.0)]).is_ok());
        let error = judge(&[ratio("this", 1.0), ratio("that", 1.1)]).expect_err("a miss");
        assert!(error.to_string().starts_with("1 of 2 ratios miss"));
        assert!(error.to_string().contains(": that."));
    }
}
