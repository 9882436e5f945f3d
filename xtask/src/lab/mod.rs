//! `cargo xtask lab`: makes on this kernel, again and again, what `whydrop why` can answer, and counts how often the
//! answer was the truth.
//!
//! Scenarios say what they made and what the answer was; a matrix is made of that, printed, and put into docs/lab.md by
//! a run of everything. On other kernels, in VMs, the matrix goes into a document of its own.

mod matrix;
mod said;
mod servers;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{artifacts, proc, setup, vm};
use matrix::Matrix;
use said::Log;

const DOCUMENT: &str = "docs/lab.md";
/// The scenarios that say what `why` answered.
const SCENARIOS: [&str; 3] = ["why::", "demo::", "servers::"];

/// What a VM plays: it has a few servers. Some scenes of `demo` need a second processor.
const IN_A_VM: [&str; 13] = [
    "servers::haproxy::",
    "servers::later::haproxy::",
    "servers::later::memcached::",
    "servers::nginx::",
    "servers::redis::",
    "why::acceptor",
    "why::backlog",
    "why::client",
    "why::group",
    "why::path",
    "why::place",
    "why::sound",
    "why::syn",
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each scenario is played.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Only scenarios whose name contains this; docs/lab.md stays as it is.
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// Keep a recording of each answer in this folder, under the names of scenario and verdicts. It holds paths of this
    /// machine and its name.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Play in a VM of this kernel, once: 6.12, for example; its matrix is a document of its own. A few servers fit in there.
    #[arg(long, value_name = "KERNEL", conflicts_with = "runs")]
    vm: Option<String>,
    /// The tier in the VM.
    #[arg(long, value_name = "TIER", requires = "vm", default_value = "trampoline", value_parser = ["trampoline", "kprobe", "cgroup"])]
    tier: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(folder) = &args.record {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    if let Some(kernel) = &args.vm {
        return in_a_vm(args, kernel);
    }
    if !proc::is_root() {
        bail!("the laboratory loads BPF programs and makes network namespaces: run this as root");
    }
    setup::run(setup::Needs::Lab)?;
    let servers = servers::unpacked()?;
    let whydrop = artifacts::static_whydrop()?;
    let filter = filter(args, &SCENARIOS);
    let mut log = Log::default();
    for run in 1..=args.runs {
        println!("\n== run {run} of {}", args.runs);
        let mut scenarios = artifacts::run_scenarios(&filter);
        scenarios
            .arg("--include-ignored")
            .env("WHYDROP_BIN", &whydrop)
            .env("WHYDROP_LAB", &servers)
            .env_remove("WHYDROP_TIER");
        if let Some(folder) = &args.record {
            scenarios.env("WHYDROP_KEEP", folder);
        }
        log.begin_run();
        read(scenarios, &mut log)?;
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("cannot read the release of this kernel")?;
    let place = format!("Linux {}", release.trim());
    conclude(args, &log, &place, DOCUMENT)
}

fn in_a_vm(args: &Args, kernel: &str) -> Result<()> {
    setup::run(setup::Needs::BuildAndVms)?;
    let play = vm::Play {
        kernel,
        tier: &args.tier,
        filter: &filter(args, &IN_A_VM),
        files: servers::in_a_vm(&servers::unpacked()?)?,
        keep: args.record.as_deref(),
    };
    let (kernel, lines) = vm::play(play)?;
    let mut log = Log::default();
    log.begin_run();
    for line in &lines {
        log.line(line)?;
    }
    log.ensure_ended()?;
    let release = lines
        .iter()
        .find_map(|line| line.strip_prefix("vm-init: ready "))
        .context("the console does not tell the kernel's release")?;
    let place = format!(
        "Linux {release} in a VM of one processor, tier `{}`",
        args.tier
    );
    conclude(args, &log, &place, &format!("docs/lab-{kernel}.md"))
}

fn filter(args: &Args, all: &[&str]) -> Vec<String> {
    match &args.filter {
        Some(name) => vec![name.clone()],
        None => all.iter().map(|&name| name.to_owned()).collect(),
    }
}

/// Shows what the scenarios say, and keeps it; that some fail is a result too.
fn read(mut command: Command, log: &mut Log) -> Result<()> {
    let (output, input) = std::io::pipe()?;
    command.stdout(input.try_clone()?).stderr(input);
    let mut child = command.spawn().context("cannot start cargo")?;
    // It holds the pipe's other end open.
    drop(command);
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        log.line(&line)?;
        println!("{line}");
    }
    child.wait()?;
    log.ensure_ended()
}

fn conclude(args: &Args, log: &Log, place: &str, path: &str) -> Result<()> {
    let matrix = Matrix::of(log.verdicts());
    println!("\n{matrix}\n{}", matrix.of_later());
    for (test, package) in log.absent() {
        println!("{test} was not played: this machine lacks {package}");
    }
    for verdict in log.verdicts().iter().filter(|verdict| !verdict.is_right()) {
        println!("{verdict}");
    }
    if args.filter.is_none() {
        let runs = if args.vm.is_some() { 1 } else { args.runs };
        let text = document(&matrix, log, place, runs)?;
        std::fs::write(Path::new(proc::root()).join(path), text)
            .with_context(|| format!("cannot write {path}"))?;
        println!("\n{path} is written");
    }
    let failed = log.unexplained();
    if !failed.is_empty() {
        bail!(
            "these failed for another reason than the verdict: {}",
            failed.join(", ")
        );
    }
    matrix.ensure_good()
}

fn document(matrix: &Matrix, log: &Log, place: &str, runs: u32) -> Result<String> {
    let date = proc::capture(proc::command("date", ["--utc", "+%F"]))?;
    let runs = match runs {
        1 => "1 run".to_owned(),
        runs => format!("{runs} runs"),
    };
    let mut text = format!(
        "# Laboratory\n\n\
         What was made on a real kernel with real processes, and what `whydrop why` answered. `cargo xtask lab` writes \
         this file, nobody\ntypes it. A verdict is right when it names what was made and nothing else; `none` is a sound \
         server.\n\n\
         {place}, {}, {runs}.\n\n{matrix}",
        date.trim()
    );
    let later = matrix.of_later();
    if !later.is_empty() {
        text += "\n# Written after the rules\n\n\
             Servers of Debian in situations that no rule was made for (tests/tests/scenarios/servers/later); they are counted above \
             too.\n\n";
        text += &later;
    }
    if !log.unexplained().is_empty() {
        text += "\nNot played to their end, and not counted: ";
        text += &log.unexplained().join(", ");
        text += ".\n";
    }
    if !log.absent().is_empty() {
        text += "\nNot played, and not counted, since the machine lacked a package: ";
        let absent = log.absent().iter().map(|(_, package)| package.as_str());
        let absent: BTreeSet<&str> = absent.collect();
        text += &absent.into_iter().collect::<Vec<_>>().join(", ");
        text += ".\n";
    }
    Ok(text)
}
