//! The recording of a watch: every line comes in, whole lines go to the recorder, whose losses are told.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;

use super::{
    Reporter, aside,
    json::append_json,
    record::{Kept, PartInfo, RecordError, Recorder, Target},
};
use crate::{
    host::clock::mono_ns,
    model::{Clock, Line, Start},
};

/// How long the last lines may take to reach the disk.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The pair of clocks is recorded at least so often.
const CLOCK_EVERY: Duration = Duration::from_mins(1);

/// Where the recording goes, and how much of it is kept.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Recording")]
pub struct RecordArgs {
    /// Record everything into this new file, or into a new file in this folder; `whydrop replay` reads it
    #[arg(long = "record", short = 'w', value_name = "FILE|DIR")]
    pub path: Option<PathBuf>,

    /// How much of it is kept
    #[command(flatten)]
    pub kept: Kept,
}

/// A recording that is being made.
pub struct Recording {
    reporter: Reporter,
    recorder: Recorder,
    /// For the heads of parts, which another thread writes.
    ahead_ns: Arc<AtomicI64>,
    clock_told: Instant,
    was_failing: bool,
    lost_told: u64,
    trouble_told: Option<String>,
}

/// What stands in the first line of each part.
#[derive(Serialize)]
struct Part<'a> {
    id: &'a str,
    part: u32,
    command: &'a [String],
    /// This instant of the monotonic clock, and what the wall clock showed then.
    mono_ns: u64,
    ahead_ns: i64,
    utc: String,
    /// Lines that the parts before have lost.
    lost_lines: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
}

impl RecordArgs {
    /// Makes the first part, where a recording is wanted; `is_used`: whether how much is kept is asked of lines, too.
    pub fn begin(&self, start: &Start, is_used: bool) -> Result<Option<Recording>, RecordError> {
        let Some(path) = &self.path else {
            return if self.kept.is_asked() && !is_used {
                Err(RecordError::Usage(
                "--rotate, --keep and --keep-for are of a file; add --record FILE, --record DIR/ or, for lines, --output FILE".into(),
            ))
            } else {
                Ok(None)
            };
        };
        let ahead_ns = Arc::new(AtomicI64::new(start.clock.ahead_ns()));
        let (of, clock) = (start.clone(), Arc::clone(&ahead_ns));
        let head = Box::new(move |part: &PartInfo<'_>| {
            head(&of, Clock::of(clock.load(Ordering::Relaxed)), part)
        });
        let recorder = Recorder::create(&Target::of(path), &self.kept.options(), head)?;
        aside(format_args!(
            "recording into {}",
            recorder.status().path.display()
        ));
        Ok(Some(Recording {
            reporter: Reporter::whole(start),
            recorder,
            ahead_ns,
            clock_told: Instant::now(),
            was_failing: false,
            lost_told: 0,
            trouble_told: None,
        }))
    }
}

/// The `start` line of a part, by which it opens alone.
fn head(start: &Start, clock: Clock, part: &PartInfo<'_>) -> String {
    let now = mono_ns();
    let mut line = String::new();
    Reporter::whole(start).write(start.mono_ns, &Line::Start(start), &mut line);
    let part = Part {
        id: part.recording,
        part: part.part,
        command: &start.command,
        mono_ns: now,
        ahead_ns: clock.ahead_ns(),
        utc: clock.at(now).to_string(),
        lost_lines: part.lost_lines,
        after: part.after,
    };
    if let Some(end) = line.rfind('}') {
        line.truncate(end);
        line.push_str(r#","recording":"#);
        // Strings and numbers only: nothing in it can fail.
        append_json(&mut line, &part);
        line.push_str("}\n");
    }
    line
}

impl Recording {
    /// Takes a line, and the time at which it was told.
    pub fn take(&mut self, mono_ns: u64, line: &Line<'_>) {
        // The first line of each part says it.
        if matches!(line, Line::Start(_)) {
            return;
        }
        if let Line::Clock(clock) = line {
            self.reporter.set_clock(*clock);
            self.ahead_ns.store(clock.ahead_ns(), Ordering::Relaxed);
            self.clock_told = Instant::now();
        }
        self.reporter.write(mono_ns, line, self.recorder.text());
        self.recorder.line_done();
    }

    /// Goes on in a file of the same name, where the one that is written has lost it.
    pub fn reopen(&self) {
        self.recorder.reopen();
    }

    /// When [`Self::tick`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.recorder.due()
    }

    /// Hands over what is due.
    pub fn tick(&mut self) {
        self.recorder.tick(Instant::now());
    }

    /// To be called every second: says what cannot be written, once, and whether the pair of clocks is due.
    pub fn second(&mut self) -> bool {
        self.tick();
        let status = self.recorder.status();
        match &status.failing {
            Some(why) if !self.was_failing => aside(format_args!("not recording for now: {why}")),
            None if self.was_failing => {
                aside(format_args!(
                    "recording again, in {}",
                    status.path.display()
                ));
            }
            _ => {}
        }
        self.was_failing = status.failing.is_some();
        if status.lost_lines > self.lost_told && !self.was_failing {
            let lost = status.lost_lines - self.lost_told;
            aside(format_args!("{lost} lines could not be recorded"));
            self.lost_told = status.lost_lines;
        }
        if status.trouble != self.trouble_told {
            if let Some(trouble) = &status.trouble {
                aside(trouble);
            }
            self.trouble_told = status.trouble;
        }
        self.clock_told.elapsed() >= CLOCK_EVERY
    }

    /// Closes it; a recording that is not whole is a failure.
    pub fn finish(mut self, mono_ns: u64) -> Result<(), String> {
        self.take(mono_ns, &Line::Ended);
        let status = self.recorder.finish(PATIENCE);
        let is_news = status.trouble != self.trouble_told;
        let why = match (status.lost_lines, status.failing, status.trouble) {
            (0, failing, Some(trouble)) => {
                // Nothing is missing for it.
                if is_news {
                    aside(trouble);
                }
                failing
            }
            (_, failing, trouble) => failing.or(trouble),
        };
        match (status.lost_lines, why) {
            (0, None) => Ok(()),
            (lost, why) => Err(format!(
                "{lost} lines could not be recorded{}{}; the recording in {} lacks them",
                if why.is_some() { ": " } else { "" },
                why.unwrap_or_default(),
                status.path.display()
            )),
        }
    }
}
