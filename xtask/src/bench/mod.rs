//! `cargo xtask bench`: measures on this kernel what whydrop costs, and writes it to docs/performance.md for people and
//! docs/performance.json for machines.
//!
//! Scenarios measure and say so, a line for each figure; here they are set beside their bars.

mod figures;

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{artifacts, proc, setup};
use figures::Figures;

const DOCUMENT: &str = "docs/performance.md";
const DATA: &str = "docs/performance.json";

pub fn run() -> Result<()> {
    if !proc::is_root() {
        bail!("the benchmark loads BPF programs and makes network namespaces: run this as root");
    }
    setup::run(setup::Needs::Build)?;
    let whydrop = artifacts::static_whydrop()?;
    let mut scenarios = artifacts::run_scenarios(&["bench::".to_owned()]);
    scenarios
        .arg("--include-ignored")
        .env("WHYDROP_BIN", &whydrop)
        .env_remove("WHYDROP_TIER");
    let mut figures = Figures::default();
    proc::run_reading(scenarios, |line| {
        figures.line(line)?;
        Ok(true)
    })?;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("cannot read the release of this kernel")?;
    let date = proc::capture(proc::command("date", ["--utc", "+%F"]))?;
    let text = figures.document(release.trim(), date.trim())?;
    println!("\n{text}");
    write(DOCUMENT, &text)?;
    write(DATA, &figures.data(release.trim(), date.trim()))
}

fn write(name: &str, text: &str) -> Result<()> {
    std::fs::write(Path::new(proc::root()).join(name), text)
        .with_context(|| format!("cannot write {name}"))?;
    println!("{name} is written");
    Ok(())
}
