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
pub mod record;
mod recording;
mod run;
mod sinks;
mod stats;
mod story;
mod text;
mod time;
mod verdict;
mod verify;

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use probe_common::Health;

pub use self::{
    group::{Group, GroupMember},
    listing::{Missing, listing},
    output::{Output, OutputError},
    recording::{Kept, RecordArgs, Recording},
    run::{Diagnosed, Dropped, Ended, Hurt, Moments, Ran},
    sinks::Sinks,
    stats::{Accepted, ListenerStatsRow, Waited},
    text::{counts_in_words, name_of},
    time::{Clock, Utc},
    verify::{OF_REFUSALS, Verdict, Verified},
};
use crate::{
    analyse::{
        correlate::{Story, Totals},
        reconcile::{Residual, Row},
    },
    cause::Cause,
    decode::{Kind, Stage},
    enrich::Observation,
    host::{cgroup::Cgroup, clock::mono_ns, netns::NetnsName, owner::Owner},
    loader::{HookReport, Skipped, Tier},
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelfTest {
    /// The kernel refused so many connections, and the hooks saw as many.
    Passed { overflows: u64 },
    /// It could not be made; the reason.
    Skipped(String),
}

/// What is being watched, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    #[serde(deserialize_with = "crate::model::intern::names")]
    pub blind: Vec<crate::model::intern::Name>,
    /// The namespace that needs no mention: the one asked for, or whydrop's own.
    pub own_netns: u32,
    /// When that was, and what the wall clock was then.
    pub mono_ns: u64,
    pub clock: Clock,
    pub host: String,
    /// `None` where it cannot be read.
    pub boot_id: Option<String>,
    /// whydrop's own command line.
    pub command: Vec<String>,
}

/// One tick's worth of refusals on the counters tier.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Candidate {
    pub snapshot: crate::host::diag::ListenerSnapshot,
    pub drops_delta: u32,
    pub owner: Arc<[Owner]>,
    pub cgroup: Option<Arc<Cgroup>>,
}

/// Detail that was lost since the last such line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerTally {
    pub cookie: u64,
    pub netns: u32,
    pub addr: Option<SocketAddr>,
    pub owner: Arc<[Owner]>,
    pub cgroup: Option<Arc<Cgroup>>,
    #[serde(with = "crate::model::pairs")]
    pub counts: BTreeMap<(Kind, Option<Stage>), u64>,
    #[serde(with = "crate::model::pairs")]
    pub causes: Causes,
}

impl ListenerTally {
    pub fn refusals(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// The end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    pub duration: Duration,
    pub tier: Tier,
    #[serde(with = "crate::model::pairs")]
    pub counts: BTreeMap<(Kind, Option<Stage>), u64>,
    #[serde(with = "crate::model::pairs")]
    pub causes: Causes,
    pub listeners: Vec<ListenerTally>,
    /// What listeners went through, each to which something came.
    pub stats: Vec<ListenerStatsRow>,
    /// What became of attempts that were refused, where that is wanted.
    pub stories: Option<Totals>,
    /// SO_REUSEPORT groups of more than one that these listeners belong to.
    pub groups: Vec<Group>,
    pub loss: Loss,
    #[serde(with = "crate::model::health")]
    pub health: Health,
    /// Runs of hooks that the kernel skipped.
    pub skipped: Skipped,
    pub rows: Vec<Row>,
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

    /// Whether every counter is accounted for.
    pub fn adds_up(&self) -> bool {
        self.rows
            .iter()
            .all(|row| row.unattributed.is_some_and(|n| n == 0))
    }
}

/// Everything a line may say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line<'a> {
    Start(&'a Start),
    /// Its own members are its item.
    #[serde(skip)]
    Event(&'a Observation),
    Tick(&'a Tick),
    Loss(&'a Loss),
    Residual(&'a Residual),
    Sampled(&'a Sampled),
    Stats(&'a ListenerStatsRow),
    Story(&'a Story),
    Summary(&'a Summary),
    /// The wall clock was set, or a minute is over. Recordings hold it, nobody prints it.
    Clock(Clock),
    /// The recording is complete.
    Ended,
}

/// Formats lines.
pub struct Reporter {
    format: Format,
    clock: Clock,
    tier: Tier,
    /// The namespace that needs no mention.
    own_netns: u32,
    /// Whether lines hold all that a recording needs.
    is_whole: bool,
}

impl Reporter {
    pub const fn new(format: Format, tier: Tier, own_netns: u32, clock: Clock) -> Self {
        Self {
            format,
            clock,
            tier,
            own_netns,
            is_whole: false,
        }
    }

    /// Of a watch.
    pub const fn of(format: Format, start: &Start) -> Self {
        Self::new(format, start.tier, start.own_netns, start.clock)
    }

    /// One whose lines hold all that a recording needs.
    pub const fn whole(start: &Start) -> Self {
        Self {
            is_whole: true,
            ..Self::of(Format::Json, start)
        }
    }

    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// The wall clock was set.
    pub const fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Appends the report of a command that was watched.
    pub fn write_ran(&self, ran: &Ran, to: &mut String) {
        match self.format {
            Format::Text => run::write_text(self, ran, to),
            Format::Json => {
                json::write(self, mono_ns(), &Line::Summary(&ran.summary), to);
                run::write_json(self, ran, to);
            }
        }
    }

    /// Appends the verdict on a listener.
    pub fn write_verified(&self, verified: &Verified, to: &mut String) {
        match self.format {
            Format::Text => verify::write_text(verified, to),
            Format::Json => {
                json::write(self, mono_ns(), &Line::Summary(&verified.summary), to);
                verify::write_json(self, verified, to);
            }
        }
    }

    /// Appends the line, with its newline, to `to`.
    pub fn write(&self, mono_ns: u64, line: &Line<'_>, to: &mut String) {
        match self.format {
            Format::Text => text::write(self, mono_ns, line, to),
            Format::Json => json::write(self, mono_ns, line, to),
        }
    }
}

#[cfg(test)]
mod event_tests;
