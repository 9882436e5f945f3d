//! Writes what happened: observations and summaries come in, lines of text or
//! JSON go out. It never decides what an event means, and it is the only room
//! that writes to standard output.

pub mod answer;
mod append;
mod group;
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

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use probe_common::Health;

pub use self::{
    group::{Group, GroupMember},
    listing::{Missing, listing},
    output::{Output, OutputError},
    run::{Diagnosed, Dropped, Ended, Hurt, Moments, Ran},
    stats::{Accepted, ListenerStatsRow, Waited},
    text::{counts_in_words, name_of},
    time::Clock,
    verify::{OF_REFUSALS, Verdict, Verified},
};
use crate::{
    cause::{Cause, Reasons},
    correlate::{Story, Totals},
    decode::{Kind, Stage},
    enrich::Observation,
    inspect::{cgroup::Cgroup, netns::NetnsName, owner::Owner},
    loader::{HookReport, Skipped, Tier},
    reconcile::{Residual, Row},
};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns for people.
    Text,
    /// One JSON object a line; docs/output.md describes them.
    Json,
}

/// What the self-test at start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelfTest {
    /// The kernel refused so many connections, and the hooks saw as many.
    Passed { overflows: u64 },
    /// It could not be made; the reason.
    Skipped(String),
}

/// What is being watched, and how.
#[derive(Clone, Debug)]
pub struct Start {
    pub tier: Tier,
    pub hooks: Vec<HookReport>,
    pub self_test: SelfTest,
    pub kernel: String,
    /// What this kernel's type information lacks.
    pub absent: Vec<String>,
    /// What is left out on request, in words.
    pub filters: Vec<String>,
    pub listeners: usize,
    pub namespaces: usize,
    /// Kinds and causes that cannot be seen here.
    pub blind: Vec<&'static str>,
}

/// One tick's worth of refusals on the counters tier.
#[derive(Clone, Debug)]
pub struct Tick {
    pub mono_ns: u64,
    pub netns: u32,
    pub netns_name: Option<Arc<NetnsName>>,
    pub kind: Kind,
    pub count: u64,
    /// The listeners whose `sk_drops` grew meanwhile, with by how much.
    pub candidates: Vec<Candidate>,
}

/// A listener that may be the one that refused.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub snapshot: crate::inspect::diag::ListenerSnapshot,
    pub drops_delta: u32,
    pub owner: Arc<[Owner]>,
    pub cgroup: Option<Arc<Cgroup>>,
}

/// Detail that was lost since the last such line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Records that found no room in the ring.
    pub ring_full: u64,
    /// Lines that a slow reader of the output did not take.
    pub output_full: u64,
    /// Records that did not decode.
    pub undecodable: u64,
}

impl Loss {
    pub const fn total(&self) -> u64 {
        self.ring_full + self.output_full + self.undecodable
    }
}

/// What was left out of the detail on purpose since the last such line.
#[derive(Clone, Debug)]
pub struct Sampled {
    pub netns: u32,
    pub listener: Option<SocketAddr>,
    /// 0 where it is not known.
    pub cookie: u64,
    pub kind: Kind,
    pub stage: Option<Stage>,
    pub cause: Option<Cause>,
    pub count: u64,
    /// From so many client addresses, at least.
    pub clients: u64,
    /// Exactly so many.
    pub clients_exact: bool,
}

/// How often what happened, and where.
pub type Counts = BTreeMap<(Kind, Option<Stage>), u64>;

/// How often what happened, for which cause.
pub type Causes = BTreeMap<(Kind, String), u64>;

/// Refusals by listener.
#[derive(Clone, Debug)]
pub struct ListenerTally {
    pub cookie: u64,
    pub netns: u32,
    pub addr: Option<SocketAddr>,
    pub owner: Arc<[Owner]>,
    pub cgroup: Option<Arc<Cgroup>>,
    pub counts: BTreeMap<(Kind, Option<Stage>), u64>,
    pub causes: Causes,
}

impl ListenerTally {
    pub fn refusals(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// The end.
#[derive(Clone, Debug)]
pub struct Summary {
    pub duration: Duration,
    pub tier: Tier,
    pub counts: BTreeMap<(Kind, Option<Stage>), u64>,
    pub causes: Causes,
    pub listeners: Vec<ListenerTally>,
    /// What listeners went through, each to which something came.
    pub stats: Vec<ListenerStatsRow>,
    /// What became of attempts that were refused, where that is wanted.
    pub stories: Option<Totals>,
    /// SO_REUSEPORT groups of more than one that these listeners belong to.
    pub groups: Vec<Group>,
    pub loss: Loss,
    pub health: Health,
    /// Runs of hooks that the kernel skipped.
    pub skipped: Skipped,
    pub rows: Vec<Row>,
    /// Namespaces whose counters are known from beginning to end, with rows or without.
    pub accounted: BTreeSet<u32>,
    /// What could not be read, in sentences: what it would have told is missing here, and is not zero.
    pub unread: Vec<String>,
    /// The counters were still moving while they were read for the last time.
    pub moving: bool,
}

impl Summary {
    /// Connection attempts that listeners refused, of those that were asked for.
    pub fn refusals(&self) -> u64 {
        let refused = self
            .counts
            .iter()
            .filter(|((kind, _), _)| kind.is_refusal());
        refused.map(|(_, n)| n).sum()
    }

    /// What an unattributed refusal can be, given what the hooks of this tier
    /// do not cover by design; empty when nothing is unattributed.
    pub fn unattributed_may_be(&self) -> &'static [&'static str] {
        if self
            .rows
            .iter()
            .all(|row| row.unattributed.unwrap_or(0) <= 0)
        {
            return &[];
        }
        match self.tier {
            Tier::Counters => &["any refusal: there are no hooks on this tier"],
            Tier::Cgroup => &[
                "an ICMP error for a half-open request",
                "a SYN cookie refused to an XDP or tc program",
                "DCCP",
            ],
            Tier::Trampoline => &[
                "a SYN to a multicast or broadcast address",
                "a SYN cookie refused to an XDP or tc program",
                "DCCP",
            ],
            Tier::Kprobe => &[
                "a SYN to a multicast or broadcast address",
                "a SYN cookie refused to an XDP or tc program",
                "a kprobe that the kernel skipped since another BPF program, or a look into a map, was under way on that CPU",
                "DCCP",
            ],
        }
    }

    /// Whether every counter is accounted for, of one namespace at least.
    pub fn adds_up(&self) -> bool {
        let is_read = self.unread.is_empty() && !self.rows.is_empty();
        is_read
            && self
                .rows
                .iter()
                .all(|row| row.unattributed.is_some_and(|n| n == 0))
    }
}

/// Everything a line may say.
#[derive(Debug)]
pub enum Line<'a> {
    Start(&'a Start),
    Event(&'a Observation),
    Tick(&'a Tick),
    Loss(&'a Loss),
    Residual(&'a Residual),
    Sampled(&'a Sampled),
    Stats(&'a ListenerStatsRow),
    Story(&'a Story),
    Summary(&'a Summary),
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
