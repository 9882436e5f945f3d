//! Everything CI does, in the order in which a mistake is found soonest.
//!
//! Each step has a heading and its time, and the first failure ends the run: what comes later would only repeat it.

use std::ffi::OsStr;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{artifacts, proc, setup, vm};

#[derive(clap::Args)]
pub struct Args {
    /// Leave the virtual machines out.
    #[arg(long)]
    quick: bool,
    /// Run only the scenarios whose name contains one of these.
    #[arg(last = true)]
    filter: Vec<String>,
}

pub fn run(args: &Args) -> Result<()> {
    if !proc::is_root() {
        bail!(
            "the scenario tests load BPF programs and make network namespaces: run this as root \
             (`cargo test` alone runs the unit tests without)"
        );
    }
    let started = Instant::now();
    let needs = if args.quick {
        setup::Needs::Build
    } else {
        setup::Needs::BuildAndVms
    };
    step("set-up", || setup::run(needs))?;
    step("format", || {
        proc::run(proc::cargo(["fmt", "--all", "--check"]))
            .context("run `cargo fmt --all` to put this right")
    })?;
    step("lints", || {
        // probe-ebpf compiles for the BPF target only; probe-user's build script builds it.
        let what = [
            "clippy",
            "--quiet",
            "--workspace",
            "--exclude",
            "probe-ebpf",
            "--all-targets",
        ];
        proc::run(proc::cargo(what.iter().chain(&["--", "-D", "warnings"])))?;
        // The kernel side's debug lines are built by nobody else.
        let debug = [
            "check",
            "--quiet",
            "--package",
            "probe-user",
            "--features",
            "log",
        ];
        proc::run(proc::cargo(debug))
    })?;
    step("unit tests", || proc::run(proc::cargo(["test", "--quiet"])))?;
    let mut whydrop = None;
    step("static whydrop", || {
        whydrop = Some(artifacts::static_whydrop()?);
        Ok(())
    })?;
    let whydrop = whydrop.context("the build left no binary")?;
    step("scenarios on this kernel", || {
        let mut scenarios = artifacts::run_scenarios(&args.filter);
        // Without WHYDROP_TIER whydrop chooses per hook, as it does for a user.
        scenarios
            .env("WHYDROP_BIN", OsStr::new(&whydrop))
            .env_remove("WHYDROP_TIER");
        proc::run(scenarios)
    })?;
    if !args.quick {
        step("scenarios in virtual machines", || {
            vm::run(&vm::Args::everything(&args.filter))
        })?;
    }
    println!("\nall passed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("\n== {name}");
    let started = Instant::now();
    let result = work().with_context(|| format!("the step \"{name}\" failed"));
    let outcome = if result.is_ok() { "done" } else { "FAILED" };
    println!(
        "== {name}: {outcome} in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    result
}
