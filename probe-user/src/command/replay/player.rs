//! Items that were chosen become lines on standard output, as fast or as slow as is asked for.

use std::{thread::sleep, time::Duration};

use super::ReplayArgs;
use crate::{
    command::{Failure, write},
    model::{Line, Start},
    sink::{Reporter, aside},
    source::replay::{Anew, Choice, Passed, Recorded},
};

/// A batch of lines is written when it is this long.
const BATCH_BYTES: usize = 64 * 1024;

/// Longer than this nobody waits for the next line.
const PAUSE_AT_MOST: Duration = Duration::from_hours(1);

pub(super) struct Player<'a> {
    args: &'a ReplayArgs,
    choice: Choice,
    anew: Anew,
    /// What came of one item; empty between two.
    passed: Vec<Passed>,
    /// Of the recording that is told.
    reporter: Option<Reporter>,
    last_ns: Option<u64>,
    text: String,
}

impl<'a> Player<'a> {
    pub(super) fn new(args: &'a ReplayArgs, choice: Choice, anew: Anew) -> Self {
        Self {
            args,
            choice,
            anew,
            passed: Vec::new(),
            reporter: None,
            last_ns: None,
            text: String::new(),
        }
    }

    /// Whether there was a recording at all.
    pub(super) const fn has_begun(&self) -> bool {
        self.reporter.is_some()
    }

    pub(super) fn take(&mut self, recorded: Recorded) -> Result<(), Failure> {
        if let Some(start) = recorded.start() {
            self.begin(start)?;
        }
        self.choice.hear(&recorded.line());
        let mut passed = std::mem::take(&mut self.passed);
        self.anew.pass(recorded, &mut passed);
        self.tell_all(passed)
    }

    /// Another recording begins.
    fn begin(&mut self, start: &Start) -> Result<(), Failure> {
        self.end()?;
        self.choice.begin(start).map_err(Failure::usage)?;
        for note in self.anew.begin(start) {
            self.note(&note)?;
        }
        self.last_ns = None;
        self.reporter = Some(Reporter::of(self.args.format, start));
        Ok(())
    }

    /// A recording is over; without a summary something may be left to tell.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        let mut passed = std::mem::take(&mut self.passed);
        self.anew.end(None, &mut passed);
        self.tell_all(passed)?;
        self.flush()?;
        for sentence in self.choice.counted() {
            self.note(&sentence)?;
        }
        Ok(())
    }

    fn tell_all(&mut self, mut passed: Vec<Passed>) -> Result<(), Failure> {
        for one in passed.drain(..) {
            match one {
                Passed::Recorded(mut recorded) => {
                    let is_wanted = self.choice.takes(&mut recorded);
                    self.tell(&recorded, is_wanted)?;
                }
                Passed::Made(made) => {
                    let is_wanted = self.choice.is_in_time(made.mono_ns());
                    self.tell(&made, is_wanted)?;
                }
            }
        }
        self.passed = passed;
        Ok(())
    }

    fn tell(&mut self, recorded: &Recorded, is_wanted: bool) -> Result<(), Failure> {
        let Some(reporter) = &mut self.reporter else {
            return Ok(());
        };
        let (mono_ns, line) = (recorded.mono_ns(), recorded.line());
        if let Line::Clock(clock) = line {
            reporter.set_clock(clock);
        }
        if !is_wanted {
            return Ok(());
        }
        if let Some(speed) = self.args.speed {
            let last_ns = self.last_ns.replace(mono_ns).unwrap_or(mono_ns);
            let pause = Duration::from_nanos(mono_ns.saturating_sub(last_ns)).div_f64(speed);
            if !pause.is_zero() {
                write(&std::mem::take(&mut self.text))?;
                sleep(pause.min(PAUSE_AT_MOST));
            }
        }
        reporter.write(mono_ns, &line, &mut self.text);
        if self.text.len() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Says what the recording lacks here.
    pub(super) fn lacks(&mut self, note: &str) -> Result<(), Failure> {
        self.choice.gap();
        self.note(note)
    }

    /// Says something beside the lines, in its place.
    pub(super) fn note(&mut self, note: &str) -> Result<(), Failure> {
        self.flush()?;
        aside(note);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        write(&std::mem::take(&mut self.text))
    }
}
