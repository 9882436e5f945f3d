//! `cargo xtask vm`: the scenario tests on other kernels than this one.
//!
//! Kernels and static binaries come in; for each kernel one small file system is made, booted and watched, a few VMs at
//! a time; out go one line per kernel and tier, and at the end everything the failures said.

mod apt;
mod boot;
mod console;
mod initramfs;
mod kept;
mod kernel;
mod mirror;
mod mishap;
mod modules;
mod qemu;
pub(crate) mod series;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::artifacts;
use crate::table::{self, Place};
pub(crate) use apt::Apt;
use boot::{Boot, Job, Task};
use kernel::Kernel;
use qemu::Machine;
use series::Series;

const DEADLINE: Duration = Duration::from_mins(40);
/// All answers of the laboratory, one after another.
const LABORATORY_DEADLINE: Duration = Duration::from_hours(2);
const AT_A_TIME: usize = 2;
/// The turn that asks for answers, and the kernel on which everything does.
const ANSWERS: &str = "answers";
const ANSWERS_ON: &str = "6.12";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Kernels to run on: 5.10, 6.1, 6.12, 7.2, or the Debian release that ships them [default: all].
    kernels: Vec<String>,
    /// Run only this tier (repeatable); "default" leaves the choice to whydrop, "answers" asks for answers on trampolines
    /// [default: trampoline, kprobe, cgroup].
    #[arg(long = "tier", value_name = "TIER", value_parser = ["trampoline", "kprobe", "cgroup", "counters", "default", "answers"])]
    tiers: Vec<String>,
    /// VMs at a time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: u8,
    /// Kill a VM that takes longer than this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2400)]
    deadline: u64,
    /// Run this command in the VM instead of the tests, and print what it says: "/bin/whydrop check", for example.
    #[arg(long, value_name = "COMMAND ARGS", conflicts_with_all = ["tiers", "filter"])]
    run: Option<String>,
    /// Put this file into the VM, at DEST or in /bin (repeatable). There is no dynamic linker: use static programs.
    #[arg(long = "file", value_name = "PATH[:DEST]")]
    files: Vec<String>,
    /// Run only the scenarios whose name contains one of these.
    #[arg(last = true)]
    filter: Vec<String>,
}

impl Args {
    /// All kernels and all tiers.
    pub(crate) fn everything(filter: &[String]) -> Self {
        Self {
            kernels: Vec::new(),
            tiers: Vec::new(),
            jobs: 2,
            deadline: 2400,
            run: None,
            files: Vec::new(),
            filter: filter.to_vec(),
        }
    }

    /// Whether the turn that asks for answers is run on this kernel: where it is asked for by name, or in a whole run.
    fn asks(&self, series: &Series) -> bool {
        match self.tiers.as_slice() {
            [] => self.is_whole() && series.name == ANSWERS_ON,
            tiers => tiers.iter().any(|tier| tier == ANSWERS),
        }
    }

    /// Whether each kernel runs all scenarios on all tiers.
    fn is_whole(&self) -> bool {
        self.tiers.is_empty() && self.filter.is_empty() && self.run.is_none()
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let series = chosen(&args.kernels)?;
    let mut files = artifacts(args.run.is_none())?;
    for file in &args.files {
        files.push(extra_file(file)?);
    }
    let dir = artifacts::target_dir()?.join("vm");
    let job = |task, machine, called| Job {
        dir: &dir,
        called,
        files: files.clone(),
        task,
        machine,
        deadline: Duration::from_secs(args.deadline),
        keep: None,
    };
    let main = job(task(args)?, Machine::Fast, None);
    let answers = Task::Tests {
        tiers: vec![ANSWERS.to_owned()],
        filter: Vec::new(),
        with_ignored: false,
    };
    let answers = job(answers, Machine::Single, Some(ANSWERS));
    let (kernels, skipped) = kernels(&series, &dir)?;
    let with_answers: Vec<Kernel> = kernels
        .iter()
        .filter(|kernel| args.asks(kernel.series))
        .cloned()
        .collect();
    let mut turns = Vec::new();
    if main.has_turns() {
        turns.extend(kernels.into_iter().map(|kernel| (kernel, &main)));
    }
    turns.extend(with_answers.into_iter().map(|kernel| (kernel, &answers)));
    let boots = boot_all(turns, usize::from(args.jobs));
    if args.is_whole() {
        for boot in boots.iter().filter(|boot| boot.called.is_none()) {
            let good = boot.troubles.is_empty().then_some(&boot.findings);
            table::keep(Place::Vm(boot.kernel), good)?;
        }
    }
    report(boots, &skipped)
}

/// Scenarios that are played on one tier of one kernel.
pub(crate) struct Play<'a> {
    pub kernel: &'a str,
    pub tier: &'a str,
    pub filter: &'a [String],
    /// Beside what every VM has, as (place inside, file here).
    pub files: Vec<(String, PathBuf)>,
    /// A recording of each answer is kept in this folder.
    pub keep: Option<&'a Path>,
}

/// The name of the kernel, and the lines that the scenarios said, good or not.
pub(crate) fn play(play: Play<'_>) -> Result<(&'static str, Vec<String>)> {
    let Play { kernel, tier, .. } = play;
    let dir = artifacts::target_dir()?.join("vm");
    let job = Job {
        dir: &dir,
        called: Some("lab"),
        files: [artifacts(true)?, play.files].concat(),
        task: Task::Tests {
            tiers: vec![tier.to_owned()],
            filter: play.filter.to_vec(),
            with_ignored: true,
        },
        machine: Machine::Single,
        deadline: LABORATORY_DEADLINE,
        keep: play.keep,
    };
    let (kernels, _) = kernels(&chosen(&[kernel.to_owned()])?, &dir)?;
    let kernel = kernels
        .into_iter()
        .next()
        .with_context(|| format!("the kernel {kernel} cannot be had"))?;
    let log = job.folder(kernel.series.name).join("console.log");
    let boot = boot::with_retry(&kernel, &job, false);
    // That a scenario failed is for whoever reads the lines to judge.
    for (what, details) in &boot.troubles {
        if what != tier {
            bail!("{} {what}\n{details}", boot.kernel);
        }
    }
    let text = std::fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let lines = String::from_utf8_lossy(&text)
        .lines()
        .map(|line| line.trim_end_matches('\r').to_owned())
        .collect();
    Ok((boot.kernel, lines))
}

/// Runs scenarios that count instructions on these kernels, or all, and returns what each says in lines with a figure. One that
/// Debian no longer has is left out.
pub(crate) fn count(
    names: &[String],
    files: &[(String, PathBuf)],
    scenarios: &str,
) -> Result<Vec<(&'static str, Vec<String>)>> {
    let dir = artifacts::target_dir()?.join("vm");
    let job = Job {
        dir: &dir,
        called: None,
        files: [artifacts(true)?.as_slice(), files].concat(),
        task: Task::Run(format!(
            "/bin/scenarios --test-threads=1 --include-ignored {scenarios}"
        )),
        machine: Machine::Counting,
        deadline: DEADLINE,
        keep: None,
    };
    let (kernels, skipped) = kernels(&chosen(names)?, &dir)?;
    let turns = kernels.into_iter().map(|kernel| (kernel, &job)).collect();
    let mut boots = boot_all(turns, AT_A_TIME);
    let figures = |boot: &mut Boot| (boot.kernel, std::mem::take(&mut boot.figures));
    let figures = boots.iter_mut().map(figures).collect();
    report(boots, &skipped)?;
    Ok(figures)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Series>> {
    match names {
        [] => Ok(series::ALL.iter().collect()),
        names => names.iter().map(|name| Series::find(name)).collect(),
    }
}

/// What goes into every VM, as (place inside, file here). A command of `--run` may do without the tests.
fn artifacts(with_tests: bool) -> Result<Vec<(String, PathBuf)>> {
    let mut files = vec![
        ("init".to_owned(), artifacts::vm_init()?),
        ("bin/whydrop".to_owned(), artifacts::static_whydrop()?),
    ];
    if with_tests {
        files.push(("bin/scenarios".to_owned(), artifacts::scenarios()?));
    }
    Ok(files)
}

fn extra_file(argument: &str) -> Result<(String, PathBuf)> {
    let (path, dest) = if let Some((path, dest)) = argument.split_once(':') {
        (PathBuf::from(path), dest.to_owned())
    } else {
        let path = PathBuf::from(argument);
        let name = path
            .file_name()
            .with_context(|| format!("--file {argument} names no file"))?;
        let dest = format!("bin/{}", name.to_string_lossy());
        (path, dest)
    };
    anyhow::ensure!(
        path.is_file(),
        "--file {}: there is no such file",
        path.display()
    );
    Ok((dest, path))
}

fn task(args: &Args) -> Result<Task> {
    if let Some(run) = &args.run {
        return Ok(Task::Run(run.clone()));
    }
    let tiers = match args.tiers.as_slice() {
        [] => ["trampoline", "kprobe", "cgroup"]
            .map(str::to_owned)
            .to_vec(),
        // Has a VM of its own.
        chosen => {
            let tiers = chosen.iter().filter(|tier| *tier != ANSWERS);
            tiers.cloned().collect()
        }
    };
    // The filter travels on the kernel's command line, where a space would end it.
    if let Some(word) = args
        .filter
        .iter()
        .find(|word| word.contains([' ', ',', '"']))
    {
        bail!(
            "the filter \"{word}\" has a space, comma or quote in it; name scenarios by parts of their names"
        );
    }
    Ok(Task::Tests {
        tiers,
        filter: args.filter.clone(),
        with_ignored: false,
    })
}

/// Fetches what is not there yet. The second list names what Debian no longer has and the tests can do without.
fn kernels(series: &[&'static Series], dir: &Path) -> Result<(Vec<Kernel>, Vec<&'static str>)> {
    let (mut kernels, mut skipped) = (Vec::new(), Vec::new());
    for series in series {
        match series.get(dir) {
            Ok(kernel) => kernels.push(kernel),
            Err(error) if series.required => {
                return Err(error.context(format!("the kernel {} cannot be had", series.name)));
            }
            Err(error) => {
                println!(
                    "{:<5} SKIPPED: this kernel cannot be had: {error:#}",
                    series.name
                );
                skipped.push(series.name);
            }
        }
    }
    Ok((kernels, skipped))
}

fn boot_all(turns: Vec<(Kernel, &Job)>, at_a_time: usize) -> Vec<Boot> {
    let queue = Mutex::new(VecDeque::from(turns));
    let done = Mutex::new(Vec::new());
    let prefix = queue.lock().is_ok_and(|queue| queue.len() > 1);
    std::thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some((kernel, job)) =
                    queue.lock().ok().and_then(|mut queue| queue.pop_front())
                {
                    let boot = boot::with_retry(&kernel, job, prefix);
                    if let Ok(mut done) = done.lock() {
                        done.push(boot);
                    }
                }
            });
        }
    });
    let mut boots = done.into_inner().unwrap_or_default();
    boots.sort_by_key(|boot: &Boot| {
        series::ALL
            .iter()
            .position(|series| series.name == boot.kernel)
    });
    boots
}

/// Failures of all kernels come together at the end, where a person looks first.
fn report(boots: Vec<Boot>, skipped: &[&str]) -> Result<()> {
    let mut wrong = Vec::new();
    for boot in &boots {
        for (what, details) in &boot.troubles {
            println!("\n---- {} {what}\n{details}", boot.kernel);
            wrong.push(format!("{} {what}", boot.kernel));
        }
    }
    if boots.is_empty() {
        bail!("no kernel could be booted");
    }
    if !wrong.is_empty() {
        bail!("failed in virtual machines: {}", wrong.join(", "));
    }
    let names: Vec<&str> = boots.iter().map(|boot| boot.kernel).collect();
    print!("virtual machines: all good on {}", names.join(", "));
    match skipped {
        [] => println!(),
        skipped => println!("; SKIPPED: {}", skipped.join(", ")),
    }
    Ok(())
}
