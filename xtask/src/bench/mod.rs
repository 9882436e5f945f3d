//! `cargo xtask bench`: measures on this kernel what whydrop costs, and writes it to docs/performance.md for people and
//! docs/performance.json for machines.
//!
//! Scenarios measure and say so, a line for each figure; here they are set beside their bars.

mod figures;
mod instructions;
mod instructions_text;
mod peers;

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{artifacts, proc, setup};
use figures::Figures;

const DOCUMENT: &str = "docs/performance.md";
const DATA: &str = "docs/performance.json";

#[derive(clap::Args)]
pub struct Args {
    /// Only count instructions, on these kernels [default: all], and write nothing.
    #[arg(long, value_name = "KERNEL", num_args = 0..)]
    instructions: Option<Vec<String>>,
}

pub fn run(args: &Args) -> Result<()> {
    if let Some(kernels) = &args.instructions {
        setup::run(setup::Needs::BuildAndVms)?;
        println!("\n{}", instructions::run(kernels)?.document()?);
        return Ok(());
    }
    if !proc::is_root() {
        bail!("the benchmark loads BPF programs and makes network namespaces: run this as root");
    }
    setup::run(setup::Needs::BuildAndVms)?;
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
    let instructions = instructions::run(&[])?;
    let text = figures.document(release.trim(), date.trim())? + "\n" + &instructions.document()?;
    println!("\n{text}");
    write(DOCUMENT, &text)?;
    let data = figures.data(release.trim(), date.trim());
    let data = with_field(&data, &instructions.data()).context("the figures are no JSON object")?;
    write(DATA, &data)
}

/// A JSON object with one more field.
fn with_field(object: &str, field: &str) -> Option<String> {
    let rest = object.trim_end().strip_suffix('}')?;
    Some(format!("{},\n  {field}\n}}\n", rest.trim_end()))
}

fn write(name: &str, text: &str) -> Result<()> {
    std::fs::write(Path::new(proc::root()).join(name), text)
        .with_context(|| format!("cannot write {name}"))?;
    println!("{name} is written");
    Ok(())
}
