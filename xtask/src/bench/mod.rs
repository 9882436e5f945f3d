//! `cargo xtask bench`: measures on this kernel what whydrop costs, and writes it to docs/performance.md for people and
//! docs/performance.json for machines; then counts on every kernel how many instructions it takes, for docs/instructions.md
//! and .json (`--here` and `--instructions`: one of both). With `--quick`: measures only what ratios need, writes nothing.
//!
//! Scenarios measure and say so, a line for each figure; here they are set beside their bars. An absolute time that misses
//! its bar is said, since it is that of one machine; a ratio that does is a failure.

mod accounts;
mod bars;
mod figures;
mod flood;
mod hooks;
mod host;
mod instructions;
mod instructions_text;
mod judgement;
mod lines;
mod peers;
mod quick;
mod start;
mod user;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{artifacts, proc, setup};
use figures::Figures;
pub(crate) use quick::run as quick;

const DOCUMENT: &str = "docs/performance.md";
const DATA: &str = "docs/performance.json";
const INSTRUCTIONS: &str = "docs/instructions.md";
const INSTRUCTIONS_DATA: &str = "docs/instructions.json";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only judge the ratios that must hold anywhere, within a minute or two, and write nothing.
    #[arg(long)]
    quick: bool,
    /// Only measure on this kernel.
    #[arg(long, conflicts_with = "quick")]
    here: bool,
    /// Only count instructions in virtual machines; of some kernels alone nothing is written.
    #[arg(long, value_name = "KERNEL", num_args = 0.., conflicts_with_all = ["quick", "here"])]
    instructions: Option<Vec<String>>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !proc::is_root() {
        bail!("the benchmark loads BPF programs and makes network namespaces: run this as root");
    }
    if args.quick || args.here {
        setup::run(setup::Needs::Build)?;
    } else {
        setup::run(setup::Needs::BuildAndVms)?;
    }
    if let Some(kernels) = &args.instructions {
        return count(kernels);
    }
    let whydrop = artifacts::static_whydrop()?;
    if args.quick {
        return quick(&whydrop);
    }
    let judged = here(&whydrop)?;
    if !args.here {
        count(&[])?;
    }
    judged
}

/// What it costs on this kernel; and whether the ratios hold, which is for the end.
fn here(whydrop: &Path) -> Result<Result<()>> {
    let mut scenarios = scenarios(whydrop, &["bench::"]);
    scenarios.env("WHYDROP_HOST_BENCH", artifacts::host_bench()?);
    let mut figures = figures_of(scenarios, true)?;
    figures.user = user::ratios()?;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("cannot read the release of this kernel")?;
    let date = proc::capture(proc::command("date", ["--utc", "+%F"]))?;
    let text = figures.document(release.trim(), date.trim())?;
    println!("\n{text}");
    write(DOCUMENT, &text)?;
    write(DATA, &figures.data(release.trim(), date.trim()))?;
    Ok(quick::judge(&figures.ratios()))
}

/// How many instructions it takes on these kernels, or on all.
fn count(kernels: &[String]) -> Result<()> {
    let instructions = instructions::run(kernels)?;
    let text = instructions_text::document(&instructions)?;
    println!("\n{text}");
    if kernels.is_empty() {
        write(INSTRUCTIONS, &text)?;
        write(INSTRUCTIONS_DATA, &instructions.data())?;
    }
    Ok(())
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
