//! Counts with one tracer, or none, and says so.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use whydrop_tests::instructions;
use whydrop_tests::log::say_figure;
use whydrop_tests::steady::rest;
use whydrop_tests::tracer::Tracer;

use super::least::Least;
use super::paths::{Path, Paths};

const ROUNDS: usize = 7;
/// Until a tracer has told everything.
const AFTERWARDS: Duration = Duration::from_millis(400);
/// Of the whole machine: a tracer has work of its own every now and then.
const WINDOW: Duration = Duration::from_secs(20);
const WINDOWS: usize = 3;
/// In one window.
const BURSTS: usize = 24;
const ALONE: usize = 1000;

struct Measured<'a> {
    name: &'a str,
    /// What the line of a refusal has in it, if it is not its listener's port.
    words: Option<&'a str>,
    tracer: Option<Tracer>,
}

pub(super) fn measure(name: &str, words: Option<&str>, command: Option<Command>) -> Result<()> {
    ensure!(
        instructions::are_counted(),
        "this machine counts no instructions: use `cargo xtask bench`"
    );
    let paths = Paths::new()?;
    let tracer = command.map(|mut command| Tracer::start(&mut command));
    let tracer = match tracer.transpose() {
        Ok(tracer) => tracer,
        Err(error) => return unable(name, &format!("{error:#}")),
    };
    let mut measured = Measured {
        name,
        words,
        tracer,
    };
    instructions::go_first()?;
    measured.packet(&paths, &paths.ack)?;
    write(&paths, &paths.forget_requests)?;
    for path in [&paths.elsewhere, &paths.taken, &paths.alone, &paths.refused] {
        measured.packet(&paths, path)?;
    }
    measured.idle()?;
    measured.machine(&paths, &paths.refused, BURSTS)?;
    measured.machine(&paths, &paths.alone, ALONE)?;
    measured.tracer.map_or(Ok(()), Tracer::stop)
}

/// What the least that says as much takes for one refusal that comes alone.
pub(super) fn measure_least() -> Result<()> {
    ensure!(
        instructions::are_counted(),
        "this machine counts no instructions: use `cargo xtask bench`"
    );
    let paths = Paths::new()?;
    let mut least = Least::start(paths.wire.netns(), paths.full())?;
    instructions::go_first()?;
    let (mut rounds, mut lines) = (Vec::new(), 0);
    for _ in 0..WINDOWS {
        let nothing = busy(|| Ok(()))?;
        let all = busy(|| one_by_one(&paths, &paths.alone, ALONE, || least.wake()))?;
        lines += least.lines()?;
        rounds.push((all - nothing) / ALONE as f64);
    }
    let packets = WINDOWS * ALONE;
    ensure!(lines == packets, "{lines} lines of {packets}");
    say_rounds(
        "machine",
        "least",
        paths.alone.name,
        &rounds,
        packets,
        lines,
    )
}

/// That a tracer does not run here is a figure too.
pub(super) fn unable(name: &str, why: &str) -> Result<()> {
    say_figure(format_args!("unable {name} {why}"))
}

impl Measured<'_> {
    /// What one packet pays for itself.
    fn packet(&mut self, paths: &Paths, path: &Path) -> Result<()> {
        let (mut rounds, mut lines) = (Vec::new(), 0);
        // The first one finds nothing in its place yet.
        for nth in 0..=ROUNDS {
            paths.wire.empty()?;
            rest(AFTERWARDS)?;
            self.lines(path)?;
            let overflows = overflows(paths)?;
            let begin = instructions::now();
            write(paths, &path.packets)?;
            let each = (instructions::now() - begin) as f64 / path.packets.len() as f64;
            check(paths, path, overflows, path.packets.len())?;
            rest(AFTERWARDS)?;
            if nth > 0 {
                rounds.push(each);
                lines += self.lines(path)?;
            }
            write(paths, &path.undo)?;
        }
        let packets = ROUNDS * path.packets.len();
        self.say("packet", path.name, &rounds, packets, lines)
    }

    /// What the machine does for one, of so many at once and again after a while.
    fn machine(&mut self, paths: &Paths, path: &Path, times: usize) -> Result<()> {
        let packets = times * path.packets.len();
        let (mut rounds, mut lines) = (Vec::new(), 0);
        for _ in 0..WINDOWS {
            let nothing = busy(|| Ok(()))?;
            self.lines(path)?;
            let overflows = overflows(paths)?;
            let all = busy(|| one_by_one(paths, path, times, || Ok(())))?;
            check(paths, path, overflows, packets)?;
            lines += self.lines(path)?;
            rounds.push((all - nothing) / packets as f64);
        }
        self.say("machine", path.name, &rounds, WINDOWS * packets, lines)
    }

    /// What the machine does in a second in which no packet comes.
    fn idle(&self) -> Result<()> {
        let windows = (0..WINDOWS).map(|_| Ok(busy(|| Ok(()))? / WINDOW.as_secs_f64()));
        let windows = windows.collect::<Result<Vec<_>>>()?;
        self.say("machine", "idle", &windows, 0, 0)
    }

    /// About these packets, since the last time.
    fn lines(&mut self, path: &Path) -> Result<usize> {
        let port = format!(":{}", path.port);
        let words = self.words.unwrap_or(&port);
        let tracer = self.tracer.as_mut();
        tracer.map_or(Ok(0), |tracer| tracer.lines_with(words))
    }

    fn say(
        &self,
        kind: &str,
        path: &str,
        rounds: &[f64],
        packets: usize,
        lines: usize,
    ) -> Result<()> {
        say_rounds(kind, self.name, path, rounds, packets, lines)
    }
}

fn say_rounds(
    kind: &str,
    name: &str,
    path: &str,
    rounds: &[f64],
    packets: usize,
    lines: usize,
) -> Result<()> {
    let rounds = rounds.iter().map(|figure| format!("{figure:.1}"));
    let rounds = rounds.collect::<Vec<_>>().join(",");
    say_figure(format_args!(
        "{kind} {name} {path} {rounds} {packets} {lines}"
    ))
}

/// So many times in a window, and what is to be done each time.
fn one_by_one(
    paths: &Paths,
    path: &Path,
    times: usize,
    then: impl Fn() -> Result<()>,
) -> Result<()> {
    (0..times).try_for_each(|_| {
        write(paths, &path.packets)?;
        then()?;
        rest(WINDOW * 9 / 10 / times as u32)
    })
}

/// Instructions of the machine in a window.
fn busy(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let (before, began) = (instructions::busy()?, Instant::now());
    work()?;
    rest(WINDOW.saturating_sub(began.elapsed()))?;
    Ok((instructions::busy()? - before) as f64)
}

fn write(paths: &Paths, packets: &[Vec<u8>]) -> Result<()> {
    let mut packets = packets.iter();
    packets.try_for_each(|packet| paths.wire.write(packet))
}

fn overflows(paths: &Paths) -> Result<u64> {
    Ok(paths.wire.netns().counters()?.get("ListenOverflows"))
}

/// The kernel did with all of them what their path is called after.
fn check(paths: &Paths, path: &Path, before: u64, packets: usize) -> Result<()> {
    let (name, refused) = (path.name, overflows(paths)? - before);
    let expected = if path.is_refused { packets as u64 } else { 0 };
    ensure!(
        refused == expected,
        "{name}: {refused} of {expected} were refused"
    );
    Ok(())
}
