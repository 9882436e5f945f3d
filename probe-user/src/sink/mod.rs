//! Writes what happened: observations and summaries come in, lines of text or
//! JSON go out. It never decides what an event means, and it is the only room
//! that writes to standard output.

mod against;
pub mod answer;
mod append;
mod clients;
mod incident;
mod json;
mod listing;
mod metrics;
mod on_incident;
mod output;
mod printed;
pub mod record;
mod recording;
mod run;
mod same;
mod schema;
mod sinks;
mod text;
mod ticket;
mod verdict;
mod verify;

use self::ticket::Ticket;
pub use self::{
    listing::listing,
    metrics::Exposition,
    on_incident::OnIncident,
    output::{Output, OutputError, Patient, aside, create, is_standard_output, whole_aside},
    printed::{Lost, Printed},
    record::Kept,
    recording::{RecordArgs, Recording},
    schema::schema,
    sinks::{Closed, Sinks},
    text::{plural, say_ready},
};
use crate::model::{Clock, Line, Origin, Ran, Start, Verified, tier::Tier};

/// Whoever takes lines.
pub trait Sink {
    /// Takes a line, and the time at which it was said.
    fn take(&mut self, mono_ns: u64, line: &Line<'_>);
}

impl<T: FnMut(u64, &Line<'_>)> Sink for T {
    fn take(&mut self, mono_ns: u64, line: &Line<'_>) {
        self(mono_ns, line);
    }
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns for people.
    Text,
    /// One JSON object a line; docs/output.md describes them.
    Json,
}

/// Listeners that a table of text has, unless others are asked for.
pub const TOP: usize = 20;

/// Formats lines.
pub struct Reporter {
    format: Format,
    clock: Clock,
    tier: Tier,
    /// The namespace that needs no mention.
    own_netns: u32,
    /// The host that they are of.
    origin: Origin,
    /// Whether lines hold all that a recording needs.
    is_whole: bool,
    /// Listeners in a table of text.
    top: usize,
    /// What the event before had in its line.
    last_text: text::Last,
    last_json: json::Last,
}

impl Reporter {
    /// In this format, of a watch of this tier on this host.
    pub fn new(format: Format, tier: Tier, own_netns: u32, clock: Clock, origin: Origin) -> Self {
        Self {
            format,
            clock,
            tier,
            own_netns,
            origin,
            is_whole: false,
            top: TOP,
            last_text: Default::default(),
            last_json: Default::default(),
        }
    }

    /// With so many listeners in a table of text; 0 for all.
    pub fn with_top(mut self, top: usize) -> Self {
        self.top = match top {
            0 => usize::MAX,
            top => top,
        };
        self
    }

    /// Of a watch.
    pub fn of(format: Format, start: &Start) -> Self {
        Self::new(
            format,
            start.tier,
            start.own_netns,
            start.clock,
            Origin::of(start),
        )
    }

    /// One whose lines hold all that a recording needs.
    pub fn whole(start: &Start) -> Self {
        Self {
            is_whole: true,
            ..Self::of(Format::Json, start)
        }
    }

    /// Where and when a report was made, and by what.
    const fn ticket(&self, mono_ns: u64) -> Ticket<'_> {
        Ticket {
            origin: &self.origin,
            clock: self.clock,
            mono_ns,
            tier: self.tier,
            only: None,
        }
    }

    /// How far the wall clock is ahead.
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// The wall clock was set.
    pub const fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Appends the report of a command that was watched.
    pub fn write_ran(&mut self, mono_ns: u64, ran: &Ran, to: &mut String) {
        match self.format {
            Format::Text => {
                let since = to.len();
                run::write_text(self, mono_ns, ran, to);
                text::clean_since(to, since);
            }
            Format::Json => {
                json::write(self, mono_ns, &Line::Summary(&ran.summary), to);
                run::write_json(self, mono_ns, ran, to);
            }
        }
    }

    /// Appends the verdict on a listener.
    pub fn write_verified(&mut self, mono_ns: u64, verified: &Verified, to: &mut String) {
        match self.format {
            Format::Text => {
                let since = to.len();
                verify::write_text(self, mono_ns, verified, to);
                text::clean_since(to, since);
            }
            Format::Json => {
                json::write(self, mono_ns, &Line::Summary(&verified.summary), to);
                verify::write_json(self, mono_ns, verified, to);
            }
        }
    }

    /// Appends the line, with its newline, to `to`.
    pub fn write(&mut self, mono_ns: u64, line: &Line<'_>, to: &mut String) {
        match self.format {
            Format::Text => text::write(self, mono_ns, line, to),
            Format::Json => json::write(self, mono_ns, line, to),
        }
    }
}

#[cfg(test)]
mod event_tests;
#[cfg(test)]
mod golden_tests;
