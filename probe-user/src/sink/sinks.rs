//! Where every line of a watch goes, in this order: to the command that conducts it, to the output, to the recording.

use std::time::Instant;

use super::{
    OnIncident, OutputError, Printed, Sink, TOP, printed::Lost, recording::Recording, text,
    whole_aside,
};
use crate::{
    host::clock::{self, mono_ns},
    model::{Clock, Heartbeat, Line, Summary},
};

/// The sinks of one watch.
pub struct Sinks<'a> {
    /// What a command makes of the lines.
    stage: Option<Box<dyn Sink + 'a>>,
    printed: Option<Printed>,
    recording: Option<Recording>,
    on_incident: Option<OnIncident>,
    clock: Clock,
    pulse: Option<Pulse>,
}

/// A stream that is silent for so long says that it is alive.
const IDLE_S: u64 = 60;

/// When the last line was.
#[derive(Debug)]
struct Pulse {
    last_ns: u64,
}

impl Pulse {
    fn beat(&self, now_ns: u64) -> Option<Heartbeat> {
        let idle_s = now_ns.saturating_sub(self.last_ns) / 1_000_000_000;
        (idle_s >= IDLE_S).then_some(Heartbeat { idle_s })
    }
}

/// How the sinks ended.
pub struct Closed {
    /// Whether the reader saw everything, where lines were printed; `false` when it went away.
    pub printed: Option<Result<bool, OutputError>>,
    /// Whether everything was recorded; if not, why.
    pub recorded: Result<(), String>,
}

impl<'a> Sinks<'a> {
    /// Any of them may be missing.
    pub fn new(
        stage: Option<Box<dyn Sink + 'a>>,
        printed: Option<Printed>,
        recording: Option<Recording>,
        clock: Clock,
    ) -> Self {
        Self {
            stage,
            printed,
            recording,
            on_incident: None,
            clock,
            pulse: None,
        }
    }

    /// Hands incidents to this command.
    pub fn with_command(mut self, on_incident: Option<OnIncident>) -> Self {
        self.on_incident = on_incident;
        self
    }

    /// An idle stream says each minute that it is alive, where anything is printed.
    pub fn with_heartbeat(mut self, is_wanted: bool) -> Self {
        let has_pulse = is_wanted && self.printed.is_some();
        self.pulse = has_pulse.then(|| Pulse { last_ns: mono_ns() });
        self
    }

    /// Tells everybody.
    pub fn write(&mut self, line: &Line<'_>) {
        // An event, a look and the start have a time of their own.
        let now = match line {
            Line::Event(seen) => seen.event.mono_ns,
            Line::Start(start) => start.mono_ns,
            Line::Observed(seen) => seen.mono_ns(),
            _ => mono_ns(),
        };
        if let Some(pulse) = &mut self.pulse
            && !matches!(line, Line::Observed(_) | Line::Clock(_))
            && self.printed.as_ref().is_some_and(|one| one.shows(line))
        {
            pulse.last_ns = now;
        }
        if let Some(stage) = &mut self.stage {
            stage.take(now, line);
        }
        if let Some(printed) = &mut self.printed {
            printed.take(now, line);
        }
        if let Some(recording) = &mut self.recording {
            recording.take(now, line);
        }
        if let Some(command) = &mut self.on_incident {
            command.take(now, line);
        }
    }

    /// Hands what is printed to the output.
    pub fn flush(&mut self) {
        if let Some(printed) = &mut self.printed {
            printed.flush();
        }
    }

    /// Goes on in files that have the names by now.
    pub fn reopen(&mut self) {
        if let Some(printed) = &mut self.printed {
            printed.reopen();
        }
        if let Some(recording) = &self.recording {
            recording.reopen();
        }
    }

    /// Tells what the summary would be by now, where lines are printed or else on standard error. It is not recorded: the
    /// summary of a recording is its end.
    pub fn interim(&mut self, mut summary: Summary) {
        summary.interim = true;
        match &mut self.printed {
            Some(printed) => {
                printed.take(mono_ns(), &Line::Summary(&summary));
                printed.flush();
            }
            None => whole_aside(&text::summary(&summary, TOP)),
        }
    }

    /// To be called every second or so: the wall clock may be set meanwhile.
    pub fn tick(&mut self) {
        if let Some(printed) = &mut self.printed {
            printed.second();
        }
        if let Some(command) = &mut self.on_incident {
            command.second();
        }
        let is_due = self.recording.as_mut().is_some_and(Recording::second);
        let news = match clock::set_since(self.clock) {
            None if is_due => Some(self.clock),
            news => news,
        };
        if let Some(clock) = news {
            self.write(&Line::Clock(clock));
            self.clock = clock;
        }
        let beat = self.pulse.as_ref().and_then(|pulse| pulse.beat(mono_ns()));
        if let Some(beat) = beat {
            self.write(&Line::Heartbeat(beat));
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

    /// Whether what is printed can no longer be written.
    pub fn is_broken(&self) -> bool {
        self.printed.as_ref().is_some_and(Printed::is_broken)
    }

    /// What the output did not take.
    pub fn lost(&self) -> Option<&Lost> {
        self.printed.as_ref().map(Printed::lost)
    }

    /// Records the summary; the recording is the caller's to close, who has more to record.
    pub fn end_open(self, summary: &Summary) -> Option<Recording> {
        self.recording.map(|mut recording| {
            recording.take(mono_ns(), &Line::Summary(summary));
            recording
        })
    }

    /// Writes the summary, and closes all of them.
    pub fn close(self, summary: &Summary) -> Closed {
        let now = mono_ns();
        let recorded = self.recording.map(|mut recording| {
            recording.take(now, &Line::Summary(summary));
            recording.finish(now)
        });
        let closed = Closed {
            printed: self.printed.map(|printed| printed.finish(now, summary)),
            recorded: recorded.unwrap_or(Ok(())),
        };
        // It may take its time.
        if let Some(command) = self.on_incident {
            command.finish();
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_was_silent_for_a_minute_says_that_it_is_alive() {
        let pulse = Pulse {
            last_ns: 5_000_000_000,
        };
        assert_eq!(pulse.beat(64_999_999_999), None);
        let beat = pulse.beat(65_000_000_000);
        assert_eq!(beat, Some(Heartbeat { idle_s: 60 }));
        // A line may be of a moment that is not over yet.
        assert_eq!(pulse.beat(1), None);
    }
}
