//! `cargo xtask bench`: measures on this kernel what whydrop costs, and writes it to docs/performance.md for people and
//! docs/performance.json for machines. With `--quick`: measures only what ratios need, writes nothing.
//!
//! Scenarios measure and say so, a line for each figure; here they are set beside their bars. An absolute time that misses
//! its bar is said, since it is that of one machine; a ratio that does is a failure.

mod accounts;
mod bars;
mod figures;
mod flood;
mod hooks;
mod host;
mod judgement;
mod lines;
mod quick;
mod start;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{artifacts, proc, setup};
use figures::Figures;
pub use quick::run as quick;

const DOCUMENT: &str = "docs/performance.md";
const DATA: &str = "docs/performance.json";

#[derive(clap::Args)]
pub struct Args {
    /// Only judge the ratios that must hold anywhere, within a minute or two, and write nothing.
    #[arg(long)]
    quick: bool,
}

pub fn run(args: &Args) -> Result<()> {
    if !proc::is_root() {
        bail!("the benchmark loads BPF programs and makes network namespaces: run this as root");
    }
    setup::run(setup::Needs::Build)?;
    let whydrop = artifacts::static_whydrop()?;
    if args.quick {
        return quick(&whydrop);
    }
    let mut scenarios = scenarios(&whydrop, &["bench::"]);
    scenarios.env("WHYDROP_HOST_BENCH", artifacts::host_bench()?);
    let figures = figures_of(scenarios, true)?;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("cannot read the release of this kernel")?;
    let date = proc::capture(proc::command("date", ["--utc", "+%F"]))?;
    let text = figures.document(release.trim(), date.trim())?;
    println!("\n{text}");
    write(DOCUMENT, &text)?;
    write(DATA, &figures.data(release.trim(), date.trim()))?;
    quick::judge(&figures.ratios())
}

/// Those of the scenarios that measure.
fn scenarios(whydrop: &Path, which: &[&str]) -> Command {
    let which: Vec<String> = which.iter().map(|name| (*name).to_owned()).collect();
    let mut scenarios = artifacts::run_scenarios(&which);
    scenarios
        .arg("--include-ignored")
        .env("WHYDROP_BIN", whydrop)
        .env_remove("WHYDROP_TIER");
    scenarios
}

fn figures_of(scenarios: Command, show: bool) -> Result<Figures> {
    let mut figures = Figures::default();
    proc::run_reading(scenarios, |line| Ok(!figures.line(line)? || show))?;
    Ok(figures)
}

fn write(name: &str, text: &str) -> Result<()> {
    std::fs::write(Path::new(proc::root()).join(name), text)
        .with_context(|| format!("cannot write {name}"))?;
    println!("{name} is written");
    Ok(())
}
