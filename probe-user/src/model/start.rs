//! How a watch began.

use std::time::Duration;

use super::{clock::Clock, intern::Name, sandbox::Sandbox};
use crate::model::{hook::HookReport, tier::Tier};
use serde::{Deserialize, Serialize};

/// How a sentence of [`Start::absent`] begins where hooks reach less than the host.
pub const PART_OF_THE_HOST: &str = "this cgroup namespace shows only a part of the host";

/// What the self-test at start found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelfTest {
    /// The kernel refused so many connections, and the hooks saw as many.
    Passed { overflows: u64 },
    /// It could not be made; the reason.
    Skipped(String),
}

/// What was asked for, as far as lines depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Retransmits and resets of every connection, not of attempts only.
    pub all_events: bool,
    /// Whether stories of attempts are told.
    pub stories: bool,
    /// How often figures of listeners are told; `None`: never.
    pub stats_every: Option<Duration>,
    /// The share of a queue's room that is warned of, in percent; `None`: never.
    pub warn_percent: Option<u8>,
}

/// What is being watched, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// The way of watching.
    pub tier: Tier,
    /// What became of each hook.
    pub hooks: Vec<HookReport>,
    /// What the self-test found.
    pub self_test: SelfTest,
    /// The kernel's release, uname(2).
    pub kernel: String,
    /// What this kernel's type information lacks.
    pub absent: Vec<String>,
    /// What is left out on request, in words.
    pub filters: Vec<String>,
    /// How many listeners there were.
    pub listeners: usize,
    /// How many network namespaces there were.
    pub namespaces: usize,
    /// Kinds and causes that cannot be seen here.
    #[serde(deserialize_with = "super::intern::names")]
    pub blind: Vec<Name>,
    /// The namespace that needs no mention: the one asked for, or whydrop's own.
    pub own_netns: u32,
    /// When that was, and what the wall clock was then.
    pub mono_ns: u64,
    /// How far UTC was ahead of CLOCK_MONOTONIC.
    pub clock: Clock,
    /// The name of the host, uname(2).
    pub host: String,
    /// `None` where it cannot be read.
    pub boot_id: Option<String>,
    /// whydrop's own command line.
    pub command: Vec<String>,
    /// Whether queues and processes are looked at beside the events.
    #[serde(default)]
    pub observes: bool,
    /// Whether a recording of it holds what the kernel's counters gained ([`crate::model::CountersMoved`]).
    #[serde(default)]
    pub counts_kernel: bool,
    /// Whether every namespace that was asked about can be found and read.
    #[serde(default)]
    pub reads_all: bool,
    /// What this process may still do; `None` where the command ends with its watch, or knew of no sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// What was asked for.
    #[serde(default)]
    pub asked: Asked,
}
