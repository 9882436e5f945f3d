//! Writes what happened: observations and summaries come in, lines of text or
//! JSON go out. It never decides what an event means, and it is the only room
//! that writes to standard output.

pub mod answer;
mod append;
mod incident;
mod json;
mod listing;
mod output;
mod run;
mod stats;
mod story;
mod text;
mod time;
mod verdict;
mod verify;

pub use self::{
    listing::listing,
    output::{Output, OutputError},
    time::Clock,
};
use crate::{
    cause::Reasons,
    loader::Tier,
    model::{Line, Ran, Verified},
};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns for people.
    Text,
    /// One JSON object a line; docs/output.md describes them.
    Json,
}

/// Formats lines.
pub struct Reporter {
    format: Format,
    clock: Clock,
    tier: Tier,
    reasons: Reasons,
    /// The namespace that needs no mention.
    own_netns: u32,
}

impl Reporter {
    pub fn new(format: Format, tier: Tier, own_netns: u32, reasons: Reasons) -> Self {
        Self {
            format,
            clock: Clock::now(),
            tier,
            own_netns,
            reasons,
        }
    }

    /// To be called every second or so: the wall clock may be set meanwhile.
    pub fn tick(&mut self) {
        self.clock = Clock::now();
    }

    /// Appends the report of a command that was watched.
    pub fn write_ran(&self, ran: &Ran, to: &mut String) {
        match self.format {
            Format::Text => run::write_text(self, ran, to),
            Format::Json => {
                json::write(self, &Line::Summary(&ran.summary), to);
                run::write_json(self, ran, to);
            }
        }
    }

    /// Appends the verdict on a listener.
    pub fn write_verified(&self, verified: &Verified, to: &mut String) {
        match self.format {
            Format::Text => verify::write_text(verified, to),
            Format::Json => {
                json::write(self, &Line::Summary(&verified.summary), to);
                verify::write_json(self, verified, to);
            }
        }
    }

    /// Appends the line, with its newline, to `to`.
    pub fn write(&self, line: &Line<'_>, to: &mut String) {
        match self.format {
            Format::Text => text::write(self, line, to),
            Format::Json => json::write(self, line, to),
        }
    }
}

#[cfg(test)]
mod event_tests;
