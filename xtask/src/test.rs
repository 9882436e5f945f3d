//! Everything CI does, in the order in which a mistake is found soonest.
//!
//! Each step has a heading and its time, and the first failure ends the run: what comes later would only repeat it.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::table::finding::Findings;
use crate::table::{self, Place};
use crate::{artifacts, bench, kernel_side, proc, setup, soak, tidy, vm};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave the virtual machines out.
    #[arg(long)]
    quick: bool,
    /// Run only the scenarios whose name contains one of these.
    #[arg(last = true)]
    filter: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
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
    step("tidy", tidy::run)?;
    step("licences and spelling", || {
        where_there("cargo-deny", &["check", "bans", "licenses", "sources"])?;
        where_there("typos", &[])
    })?;
    step("lints", || {
        // probe-ebpf compiles for the BPF target only.
        let what = [
            "clippy",
            "--quiet",
            "--workspace",
            "--exclude",
            "probe-ebpf",
            "--all-targets",
        ];
        proc::run(proc::cargo(what.iter().chain(&["--", "-D", "warnings"])))?;
        kernel_side::lint()?;
        // The kernel side's debug lines are built by nobody else.
        let debug = [
            "check",
            "--quiet",
            "--package",
            "whydrop",
            "--features",
            "log",
        ];
        proc::run(proc::cargo(debug))?;
        // Nor the doors of the fuzz targets.
        let doors = [
            "check",
            "--quiet",
            "--package",
            "whydrop",
            "--features",
            "fuzzing",
        ];
        proc::run(proc::cargo(doors))
    })?;
    step("unit tests", || proc::run(proc::cargo(["test", "--quiet"])))?;
    let whole = args.filter.is_empty();
    if whole && !args.quick {
        table::forget()?;
    }
    let mut whydrop = None;
    step("static whydrop", || {
        whydrop = Some(artifacts::static_whydrop()?);
        Ok(())
    })?;
    let whydrop = whydrop.context("the build left no binary")?;
    step("scenarios on this kernel", || {
        let findings = scenarios_here(&whydrop, &args.filter);
        if whole {
            table::keep(Place::Here, findings.as_ref().ok())?;
        }
        findings.map(drop)
    })?;
    if whole {
        step("what it costs", || bench::quick(&whydrop))?;
        step("everything comes and goes", || soak::quick(&whydrop))?;
    }
    if !args.quick {
        step("scenarios in virtual machines", || {
            vm::run(&vm::Args::everything(&args.filter))
        })?;
        if whole {
            step("table in docs/kernels.md", table::check)?;
        }
    }
    println!("\nall passed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn scenarios_here(whydrop: &Path, filter: &[String]) -> Result<Findings> {
    let mut scenarios = artifacts::run_scenarios(filter);
    // Without WHYDROP_TIER whydrop chooses per hook, as it does for a user.
    scenarios
        .env("WHYDROP_BIN", whydrop)
        .env_remove("WHYDROP_TIER");
    let mut findings = Findings::default();
    // What the table takes is not for the terminal.
    proc::run_reading(scenarios, |line| Ok(!findings.line(line)?))?;
    Ok(findings)
}

/// Runs a tool that takes long to build, and is no part of set-up: where nobody has installed it, that is said.
fn where_there(tool: &str, args: &[&str]) -> Result<()> {
    if proc::find(tool).is_none() {
        let krate = if tool == "typos" { "typos-cli" } else { tool };
        println!("{tool} is not installed and left out (`cargo install --locked {krate}`)");
        return Ok(());
    }
    proc::run(proc::command(tool, args))
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
