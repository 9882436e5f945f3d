//! Where every line of a watch goes, in this order: whoever conducts it, the output, the recording.

use std::time::Instant;

use super::{Output, Reporter, recording::Recording};
use crate::{
    host::clock::mono_ns,
    model::{Hears, Line},
};

/// The sinks of one watch.
pub struct Sinks<'a> {
    /// Told of every line and its time.
    pub heed: Hears<'a>,
    /// Whether lines are written.
    pub aloud: bool,
    pub reporter: Reporter,
    pub output: Output,
    /// Where all of it is kept.
    pub recording: Option<Recording>,
}

impl Sinks<'_> {
    /// Tells everybody; appends the line to `text`, where lines are written.
    pub fn write(&mut self, line: &Line<'_>, text: &mut String) {
        // An event, a look and the start have a time of their own.
        let now = match line {
            Line::Event(seen) => seen.event.mono_ns,
            Line::Start(start) => start.mono_ns,
            Line::Observed(seen) => seen.mono_ns(),
            _ => mono_ns(),
        };
        (self.heed)(now, line);
        if self.aloud {
            self.reporter.write(now, line, text);
        }
        if let Some(recording) = &mut self.recording {
            recording.take(now, line);
        }
    }

    /// To be called every second or so: the wall clock may be set meanwhile.
    pub fn tick(&mut self, text: &mut String) {
        let is_due = self.recording.as_mut().is_some_and(Recording::second);
        let news = match self.reporter.clock().set_since() {
            None if is_due => Some(self.reporter.clock()),
            news => news,
        };
        if let Some(clock) = news {
            self.write(&Line::Clock(clock), text);
            self.reporter.set_clock(clock);
        }
    }

    /// When [`Self::record`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.recording.as_ref().and_then(Recording::due)
    }

    /// Hands what is recorded to the disk.
    pub fn record(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.tick();
        }
    }
}
