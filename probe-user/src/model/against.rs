//! What listeners went through in an earlier watch, beside what they went through now.

use std::time::Duration;

use super::{clock::Utc, tier::Tier};

/// An earlier watch, which a recording tells of, and this one.
#[derive(Clone, Debug)]
pub struct Against {
    pub then: Watched,
    pub now: Watched,
    /// What there is in either of them, port by port, those first where most was refused.
    pub ports: Vec<Port>,
    /// So many ports found no room.
    pub more: usize,
    /// How much later attempts connected that had been refused, of all listeners together; only where a command was run.
    pub delays: Option<Pair<Late>>,
    /// Why figures are missing, or are not of the same thing, in sentences.
    pub notes: Vec<String>,
}

/// One of the two watches.
#[derive(Clone, Debug)]
pub struct Watched {
    pub began: Utc,
    pub lasted: Duration,
    pub host: String,
    pub tier: Tier,
    /// whydrop's command line.
    pub command: Vec<String>,
}

/// The same of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair<T> {
    pub then: T,
    pub now: T,
}

/// How much later attempts connected that had been refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// Whether stories were told.
    pub is_known: bool,
    /// Half of them at most, 99 %, and the longest; `None` without any.
    pub delays: Option<[Duration; 3]>,
}

/// All listeners of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    pub port: u16,
    pub figures: Pair<Figures>,
}

/// What listeners went through together; `None` is not known, and no zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub refusals: Option<u64>,
    /// Connections that entered the accept queue.
    pub established: Option<u64>,
    pub accepted: Option<u64>,
    /// Where it came nearest to its limit: how long it was, and the limit.
    pub accept_queue: Option<(u32, u32)>,
    pub syn_queue: Option<(u32, u32)>,
    /// Whether it is seen that connections wait for accept(2).
    pub sees_waits: bool,
    /// How long half of them waited at most, 99 %, and the longest; `None` without any.
    pub waits: Option<[Duration; 3]>,
}
