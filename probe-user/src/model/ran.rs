//! A command that was watched, and what happened meanwhile.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    against::Against, answer::ListenerAnswer, astray::Astray, summary::Summary,
    tally::ListenerTally,
};
use crate::model::incident::Told;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    Code(u8),
    Signal(i32),
}

impl Ended {
    /// As a shell tells it.
    pub const fn status(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => (signal as u8).wrapping_add(128),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with status {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

/// Whether anything was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    Nothing,
    Something,
    /// No listener refused, and clients of this host came where nobody listened.
    Refused,
    /// Nothing was seen, and that is not all there is to see.
    CannotTell,
}

impl Dropped {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing-dropped",
            Self::Something => "dropped",
            Self::Refused => "refused",
            Self::CannotTell => "cannot-tell",
        }
    }
}

/// What only the lines about a listener's refusals tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moments {
    pub first_ns: u64,
    pub last_ns: u64,
    /// When the busiest second began, and how many refusals were in it.
    pub busiest: (u64, u64),
    /// Every refusal had a line; otherwise the last may have been later, and the busiest second busier.
    pub exact: bool,
    /// Client addresses.
    pub clients: u64,
    /// No more than these.
    pub clients_exact: bool,
    /// The longest accept queue, and its limit then.
    pub accept_queue: (u32, u32),
    pub syn_queue_len: u32,
}

/// A listener that refused.
#[derive(Clone, Debug)]
pub struct Hurt {
    pub tally: ListenerTally,
    /// `None` where no line told of it.
    pub moments: Option<Moments>,
}

/// A command and what happened meanwhile.
#[derive(Clone, Debug)]
pub struct Ran {
    pub command: Vec<String>,
    /// From its start to its end.
    pub lasted: Duration,
    pub ended: Ended,
    /// What whydrop ends with.
    pub status: u8,
    /// What is judged, in words; empty for everything.
    pub filters: Vec<String>,
    pub dropped: Dropped,
    /// Why what was seen may not be all.
    pub doubts: Vec<String>,
    pub hurt: Vec<Hurt>,
    pub astray: Astray,
    /// On the counters tier: who may have refused.
    pub candidates: Vec<String>,
    /// `None` without hooks.
    pub diagnosed: Option<Diagnosed>,
    pub summary: Summary,
    /// An earlier watch beside this one, where one is asked for.
    pub against: Option<Against>,
}

/// When and why something was refused.
#[derive(Clone, Debug)]
pub struct Diagnosed {
    /// Where something was refused, the worst first, as far as there were not too many.
    pub answers: Vec<ListenerAnswer>,
    /// Other places where somebody was refused, of which nothing is answered: there were too many.
    pub more_places: usize,
    pub incidents: Told,
}
