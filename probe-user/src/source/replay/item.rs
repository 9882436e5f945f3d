//! From a recorded line to an item of the stream.

use std::borrow::Cow;

use serde::Deserialize;

use super::event;
use crate::model::{
    Clock, Heartbeat, Line, ListenerStatsRow, Loss, Observed, Residual, Sampled, Start, Summary,
    Tick, alarm::Alarm, observation::Observation, story::Story,
};

/// An item that was recorded.
#[derive(Debug)]
pub enum Recorded {
    /// An event.
    Event(Box<Observation>),
    /// Anything else.
    Other(Item),
}

/// What stands in `item` of every line but an event's.
#[derive(Debug, Deserialize)]
pub struct Item {
    /// When it was told.
    pub mono_ns: u64,
    /// What was told.
    pub what: What,
}

/// What was told; [`Line`] has the same.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// [`Line::Start`]
    Start(Box<Start>),
    /// [`Line::Tick`]
    Tick(Tick),
    /// [`Line::Loss`]
    Loss(Loss),
    /// [`Line::Residual`]
    Residual(Residual),
    /// [`Line::Sampled`]
    Sampled(Sampled),
    /// [`Line::Stats`]
    Stats(Box<ListenerStatsRow>),
    /// [`Line::Story`]
    Story(Box<Story>),
    /// [`Line::Incident`]
    Incident(Box<Alarm>),
    /// [`Line::Heartbeat`]
    Heartbeat(Heartbeat),
    /// [`Line::Summary`]
    Summary(Box<Summary>),
    /// [`Line::Observed`]
    Observed(Observed),
    /// [`Line::Clock`]
    Clock(Clock),
    /// [`Line::Ended`]
    Ended,
}

impl Recorded {
    /// What the wall clock shows from then on.
    pub const fn clock(mono_ns: u64, clock: Clock) -> Self {
        Self::Other(Item {
            mono_ns,
            what: What::Clock(clock),
        })
    }

    /// How a watch began, if that is what it tells.
    pub fn start(&self) -> Option<&Start> {
        match self {
            Self::Other(Item {
                what: What::Start(start),
                ..
            }) => Some(start),
            _ => None,
        }
    }

    /// When that was, CLOCK_MONOTONIC in nanoseconds.
    pub fn mono_ns(&self) -> u64 {
        match self {
            Self::Event(seen) => seen.event.mono_ns,
            Self::Other(item) => item.mono_ns,
        }
    }

    /// As it is told.
    pub fn line(&self) -> Line<'_> {
        match self {
            Self::Event(seen) => Line::Event(seen),
            Self::Other(item) => match &item.what {
                What::Start(start) => Line::Start(start),
                What::Tick(tick) => Line::Tick(tick),
                What::Loss(loss) => Line::Loss(loss),
                What::Residual(residual) => Line::Residual(residual),
                What::Sampled(sampled) => Line::Sampled(sampled),
                What::Stats(row) => Line::Stats(row),
                What::Story(story) => Line::Story(story),
                What::Incident(alarm) => Line::Incident(alarm),
                What::Heartbeat(beat) => Line::Heartbeat(*beat),
                What::Summary(summary) => Line::Summary(summary),
                What::Observed(seen) => Line::Observed(seen),
                What::Clock(clock) => Line::Clock(*clock),
                What::Ended => Line::Ended,
            },
        }
    }
}

/// As much of a line as tells what it is.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    /// Of the counters tier, which tells of events by their number.
    count: Option<u64>,
}

#[derive(Deserialize)]
struct Other {
    item: Item,
}

/// `None` for a line of a kind that this version does not know, which a later one may have written.
pub fn parse(line: &[u8]) -> Result<Option<Recorded>, serde_json::Error> {
    let head: Head<'_> = serde_json::from_slice(line)?;
    if head.kind == "event" && head.count.is_none() {
        return event::parse(line).map(|seen| Some(Recorded::Event(Box::new(seen))));
    }
    match serde_json::from_slice::<Other>(line) {
        Ok(other) => Ok(Some(Recorded::Other(other.item))),
        Err(error) if KINDS.contains(&&*head.kind) => Err(error),
        Err(_) => Ok(None),
    }
}

/// The `type` of every line that holds an item.
const KINDS: [&str; 23] = [
    "start",
    "event",
    "loss",
    "sampled",
    "stats",
    "story",
    "incident",
    "residual",
    "heartbeat",
    "summary",
    "clock",
    "ended",
    "observed-queue",
    "observed-process",
    "host-facts",
    "kernel-log",
    "counters",
    "before",
    "around",
    "tried",
    "answered",
    "verified",
    "ran",
];
