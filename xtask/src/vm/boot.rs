//! One kernel from its files to its results: makes the file system, boots it, and turns console events into lines for
//! the person and troubles for the report.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::console::{Console, Event, TierResult};
use super::initramfs::Initramfs;
use super::kept;
use super::kernel::Kernel;
use super::mishap::Mishap;
use super::modules;
use super::qemu::{End, Machine, Vm};
use crate::table::finding::Findings;

/// What every VM of this run is for.
pub(super) struct Job<'a> {
    /// Where kernels are cached and consoles are logged.
    pub dir: &'a Path,
    /// What the folder of a VM is called beside its kernel, if that kernel may run for something else at the same time.
    pub called: Option<&'static str>,
    /// (place inside, file here)
    pub files: Vec<(String, PathBuf)>,
    pub task: Task,
    pub machine: Machine,
    pub deadline: Duration,
    /// Recordings that scenarios keep are put into this folder.
    pub keep: Option<&'a Path>,
}

pub(super) enum Task {
    Tests {
        tiers: Vec<String>,
        filter: Vec<String>,
        /// Also those that CI leaves out.
        with_ignored: bool,
    },
    Run(String),
}

impl Job<'_> {
    pub(super) const fn has_turns(&self) -> bool {
        match &self.task {
            Task::Tests { tiers, .. } => !tiers.is_empty(),
            Task::Run(_) => true,
        }
    }

    /// The console's log and what a VM of this kernel is made of.
    pub(super) fn folder(&self, kernel: &str) -> PathBuf {
        let called = self.called.map(|called| format!("-{called}"));
        self.dir
            .join(format!("{kernel}{}", called.unwrap_or_default()))
    }
}

/// How often a kernel that died before the tests began is booted again.
const RETRIES: u32 = 2;

/// What a line with a figure of the benchmark has in it.
const FIGURE: &str = "BENCH ";

/// How one kernel went.
pub(super) struct Boot {
    pub kernel: &'static str,
    pub called: Option<&'static str>,
    /// (what failed, what it said); empty when all is well.
    pub troubles: Vec<(String, String)>,
    pub findings: Findings,
    /// Lines of a command that have a figure in them.
    pub figures: Vec<String>,
}

/// What the console has told so far, over all boots.
#[derive(Default)]
struct Progress {
    ready: bool,
    done: bool,
    /// How many tiers have been run to their end.
    tiers: usize,
    troubles: Vec<(String, String)>,
    findings: Findings,
    figures: Vec<String>,
}

/// Boots, and boots again for what is left if the kernel died before the tests began, or later of what QEMU's emulation
/// does now and then: a processor runs into code that another one is patching ([`Mishap`]). Nothing else that happens once
/// the tests run is tried again. With `thread=single` it does not happen, and a run takes four times as long.
pub(super) fn with_retry(kernel: &Kernel, job: &Job, prefix: bool) -> Boot {
    let name = kernel.series.name;
    let log = job.folder(name).join("console.log");
    let started = Instant::now();
    let mut progress = Progress::default();
    for retry in 1.. {
        let mishap = match once(kernel, job, prefix, started, &mut progress) {
            Ok(mishap) => mishap,
            Err(error) => {
                let trouble = ("did not start".to_owned(), format!("{error:#}"));
                progress.troubles.push(trouble);
                None
            }
        };
        let Some(mishap) = mishap.filter(|_| retry <= RETRIES) else {
            break;
        };
        println!("{name:<5} RETRY {retry}: {mishap}, as happens now and then under QEMU");
        // The console is the only trace of what happened.
        let _ = std::fs::rename(&log, log.with_extension(format!("{retry}.log")));
        progress.begin_again();
    }
    let Progress {
        troubles,
        findings,
        figures,
        ..
    } = progress;
    if !troubles.is_empty() {
        let what: Vec<&str> = troubles.iter().map(|(what, _)| what.as_str()).collect();
        println!("{name:<5} FAILED: {}", what.join(", "));
    }
    Boot {
        kernel: name,
        called: job.called,
        troubles,
        findings,
        figures,
    }
}

fn once(
    kernel: &Kernel,
    job: &Job,
    prefix: bool,
    started: Instant,
    progress: &mut Progress,
) -> Result<Option<Mishap>> {
    let name = kernel.series.name;
    let dir = job.folder(name);
    std::fs::create_dir_all(&dir)?;
    let initramfs = dir.join("initramfs.cpio");
    build_initramfs(kernel, job, &initramfs)?;
    let log = dir.join("console.log");
    let kept = job.keep.map(|_| dir.join("kept"));
    let vm = Vm {
        machine: job.machine,
        image: &kernel.image,
        initramfs: &initramfs,
        append: append(job, progress.tiers),
        log: &log,
        second: kept.as_deref(),
        deadline: job.deadline.saturating_sub(started.elapsed()),
    };

    let mut console = Console::default();
    let show = matches!(job.task, Task::Run(_));
    let booted = Instant::now();
    let end = vm.run(|line| {
        if line.contains(FIGURE) {
            progress.figures.push(line.to_owned());
        }
        match console.line(line) {
            Some(event) => progress.event(name, event, booted),
            None if show && progress.ready && !progress.done => {
                if prefix {
                    println!("{name:<5}| {line}");
                } else {
                    println!("{line}");
                }
            }
            None => progress.finding(line),
        }
    })?;
    let turns = turns(job).len();
    progress.end(&end, turns, &console, &log, started);
    if let (Some(from), Some(folder)) = (&kept, job.keep) {
        let count = kept::unpack(from, folder)?;
        println!("{name:<5} {count} recordings are in {}", folder.display());
    }
    Ok(match (progress.done, progress.ready, end) {
        (false, false, _) => Some(Mishap::BeforeTheTests),
        (false, true, End::Exited | End::Stalled) => Mishap::of(console.output()),
        _ => None,
    })
}

impl Progress {
    fn event(&mut self, name: &str, event: Event, started: Instant) {
        match event {
            Event::Ready(release) => {
                self.ready = true;
                println!(
                    "{name:<5} {release} booted in {:.1} s",
                    started.elapsed().as_secs_f64()
                );
            }
            Event::Note(note) => println!("{name:<5} {note}"),
            Event::Tier(TierResult {
                tier,
                passed,
                failed,
                skipped,
                seconds,
                trouble,
            }) => {
                self.tiers += 1;
                let counts = match &trouble {
                    // Zeros would say less than why there are no counts.
                    Some(trouble) if passed + failed + skipped == 0 => {
                        trouble.split(';').next().unwrap_or_default().to_owned()
                    }
                    _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
                };
                println!("{name:<5} {tier:<11} {counts:<34} {seconds:>5.0} s");
                self.troubles.extend(trouble.map(|trouble| (tier, trouble)));
            }
            Event::RunExit(0) => {}
            Event::RunExit(code) => self
                .troubles
                .push(("command".to_owned(), format!("it exited with {code}"))),
            Event::Failed(why) => {
                self.done = true;
                self.troubles.push(("gave up".to_owned(), why));
            }
            Event::Done => self.done = true,
        }
    }

    /// Forgets how the last boot ended, but not what was done.
    fn begin_again(&mut self) {
        self.ready = false;
        self.figures.clear();
        self.troubles.pop();
    }

    fn finding(&mut self, line: &str) {
        if let Err(error) = self.findings.line(line) {
            self.troubles
                .push(("broken output".to_owned(), format!("{error:#}")));
        }
    }

    fn end(&mut self, end: &End, turns: usize, console: &Console, log: &Path, started: Instant) {
        let seconds = started.elapsed().as_secs();
        let what = match end {
            // An unexpected end of the list of tiers would otherwise look like success.
            End::Exited if self.done && turns != self.tiers && self.troubles.is_empty() => {
                "ran too few tiers"
            }
            End::Exited if self.done => return,
            End::Exited if self.ready => "died during the tests",
            End::Exited => "died before the tests began",
            End::Stalled => "stood still for two minutes and was killed",
            End::Silent => "said nothing for 180 s and was killed",
            End::Deadline => "passed its deadline and was killed",
        };
        let qemu = std::fs::read_to_string(Vm::complaints(log)).unwrap_or_default();
        let details = format!(
            "after {seconds} s; all of it is in {}; the end:\n{}\n{qemu}",
            log.display(),
            console.tail()
        );
        self.troubles.push((what.to_owned(), details));
    }
}

/// The tiers that are asked for.
fn turns<'a>(job: &'a Job<'_>) -> Vec<&'a str> {
    match &job.task {
        Task::Tests { tiers, .. } => tiers.iter().map(String::as_str).collect(),
        Task::Run(_) => Vec::new(),
    }
}

fn append(job: &Job, done: usize) -> String {
    match &job.task {
        Task::Tests {
            filter,
            with_ignored,
            ..
        } => {
            format!(
                "whydrop.done={done} whydrop.tiers={} whydrop.filter={}{}{}",
                turns(job).join(","),
                filter.join(","),
                job.keep.map_or("", |_| " whydrop.keep"),
                if *with_ignored {
                    " whydrop.ignored"
                } else {
                    ""
                }
            )
        }
        Task::Run(_) => String::new(),
    }
}

fn build_initramfs(kernel: &Kernel, job: &Job, to: &Path) -> Result<()> {
    let chosen = modules::choose(kernel)?;
    if !chosen.absent.is_empty() {
        println!(
            "{:<5} {} has no module {}",
            kernel.series.name,
            kernel.release(),
            chosen.absent.join(", ")
        );
    }
    let mut initramfs = Initramfs::new();
    let mut list = String::new();
    for module in &chosen.modules {
        let path = format!("/lib/modules/{}.ko", module.name);
        initramfs.file(&path, &module.bytes);
        list += &format!("{path}\n");
    }
    initramfs.file("modules.list", list.as_bytes());
    // One argument a line, so that the command needs no quoting on the kernel's command line.
    if let Task::Run(command) = &job.task {
        let arguments: Vec<&str> = command.split_whitespace().collect();
        initramfs.file("run.list", arguments.join("\n").as_bytes());
    }
    for (name, from) in &job.files {
        initramfs.copy(name, from)?;
    }
    initramfs.write(to)
}
