//! A listener that was verified, and the verdict on it.

use std::time::Duration;

use super::{against::Against, summary::Summary};

/// Counters of which each step is a refusal of a listener.
pub const OF_REFUSALS: [&str; 3] = ["ListenOverflows", "ListenDrops", "TCPReqQFullDrop"];

/// Whether a listener took everybody who came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody was refused, and there was room at all times.
    Held,
    /// It did not.
    NotHeld,
    /// Nothing was seen to be wrong, and that is not all there is to see.
    CannotTell,
    /// Nobody came.
    NotProved,
}

impl Verdict {
    /// Its name in lines and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::NotHeld => "not-held",
            Self::CannotTell => "cannot-tell",
            Self::NotProved => "not-proved",
        }
    }

    /// What is asked for, in words, as the readiness line has it.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::NotHeld => "did not hold",
            Self::CannotTell => "cannot tell",
            Self::NotProved => "not proved",
        }
    }
}

/// A listener, and what came of it.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What was asked for, such as `:8080`.
    pub listener: String,
    /// How long it was to be watched.
    pub asked: Duration,
    /// What it came to.
    pub verdict: Verdict,
    /// What the verdict rests on.
    pub reasons: Vec<String>,
    /// What it does not rest on, and is worth knowing.
    pub notes: Vec<String>,
    /// Where its listeners are.
    pub namespaces: Vec<u32>,
    /// Connections that entered the accept queue.
    pub established: u64,
    /// `None` where that is not known of one of the listeners.
    pub accepted: Option<u64>,
    /// What the watch ended with.
    pub summary: Summary,
    /// An earlier watch beside this one, where one is asked for.
    pub against: Option<Against>,
}
