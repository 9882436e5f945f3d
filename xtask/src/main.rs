//! The project's own commands, run as `cargo xtask COMMAND`.
//!
//! Everything a person or the CI does with this repository beyond a plain `cargo build` is here: set-up, the static
//! binary, the whole test run, the virtual machines and the demonstration. Rust only, so that there is no second build
//! system to learn.

mod artifacts;
mod bench;
mod bpf_linker;
mod kernel_side;
mod lab;
mod proc;
mod setup;
mod soak;
mod table;
mod test;
mod tidy;
mod vm;

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Set-up, build, tests, virtual machines and demonstration of whydrop.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing to build and test (Debian, as root), or say exactly what to do elsewhere.
    Setup,
    /// Build the static release binary: one file that runs on any x86-64 server.
    #[command(alias = "dist")]
    Build,
    /// Everything CI does: set-up, format, order of files, lints, unit tests, scenarios on this kernel, what it costs, scenarios in VMs.
    Test(test::Args),
    /// Whether files are short, say what they are, import each other in one direction and name what is there; `test` asks, too.
    Tidy,
    /// Run the scenario tests inside QEMU on Debian's 5.10, 6.1, 6.12 and newest kernels.
    Vm(vm::Args),
    /// Put what the scenarios of the last runs of `test` and `vm` found out into the table in docs/kernels.md.
    Table {
        /// Only say where the table differs, as `test` does at its end.
        #[arg(long)]
        check: bool,
    },
    /// Make on this kernel what `whydrop why` can answer, several times, and print how often the answer was the truth.
    Lab(lab::Args),
    /// Measure what whydrop costs here and, in instructions, on every kernel, and write docs/performance.md and
    /// docs/instructions.md; or judge ratios only.
    Bench(bench::Args),
    /// Run whydrop for half an hour beside listeners, namespaces, cgroups, processes, clients and floods that come and go, and
    /// then beside attacks of an unprivileged user: all adds up, and nothing grows.
    Soak(soak::Args),
    /// Build whydrop and trace a listener that overflows, live, in a private network namespace.
    Demo {
        /// Given to `whydrop demo` as they are.
        #[arg(last = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Setup => setup::run(setup::Needs::BuildAndVms)?,
        Command::Build => {
            setup::run(setup::Needs::Build)?;
            let binary = artifacts::static_whydrop()?;
            let bytes = std::fs::metadata(&binary)?.len();
            println!(
                "{}  {:.1} MiB, static",
                binary.display(),
                bytes as f64 / (1024.0 * 1024.0)
            );
        }
        Command::Test(args) => test::run(&args)?,
        Command::Tidy => tidy::run()?,
        Command::Vm(args) => {
            setup::run(setup::Needs::BuildAndVms)?;
            vm::run(&args)?;
        }
        Command::Table { check: true } => table::check()?,
        Command::Table { check: false } => table::update()?,
        Command::Lab(args) => lab::run(&args)?,
        Command::Bench(args) => bench::run(&args)?,
        Command::Soak(args) => soak::run(&args)?,
        Command::Demo { args } => {
            setup::run(setup::Needs::Build)?;
            demo(&args)?;
        }
    }
    Ok(())
}

/// The demonstration takes our place: its output, its exit status and Ctrl-C are the person's and its own business.
fn demo(args: &[String]) -> Result<()> {
    proc::run(proc::cargo(["build", "--release", "-p", "whydrop"]))?;
    let whydrop = artifacts::target_dir()?.join("release/whydrop");
    let error = std::process::Command::new(&whydrop)
        .arg("demo")
        .args(args)
        .exec();
    Err(error).with_context(|| format!("cannot start {}", whydrop.display()))
}
