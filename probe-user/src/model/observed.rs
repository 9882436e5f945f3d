//! What is looked at beside the events: queues, processes, and what a host says of itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Now, Tried},
    clock::Clock,
    intern::Name,
    ran::Ended,
};
use crate::model::{
    netns_name::NetnsName,
    owner::Owner,
    process::Process,
    socket::{HalfOpen, ListenerSnapshot},
    stall::Stall,
    sysctls::Sysctls,
    verdict::Verdict,
};

/// A look, at the instant that it was taken. Recordings hold it, nobody prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    /// The accept queue of a listener.
    Queue(Box<ObservedQueue>),
    /// A process that holds one.
    Process(Box<ObservedProcess>),
    /// What a namespace says of itself.
    Host(Box<HostFacts>),
    /// A line of the kernel's log.
    Log(LogLine),
    /// What the kernel's counters gained.
    Counters(Box<CountersMoved>),
    /// What was there before the watch, of a port that was asked about.
    Before(Box<Now>),
    /// An attempt to connect, of whydrop's own.
    Tried(Tried),
    /// What was answered.
    Answered(Box<Answered>),
    /// What became of a listener that was verified.
    Verified(Box<ToldVerified>),
    /// A command that was watched.
    Ran(Box<ToldRan>),
}

impl Observed {
    /// When that was, CLOCK_MONOTONIC in nanoseconds.
    pub const fn mono_ns(&self) -> u64 {
        match self {
            Self::Queue(queue) => queue.snapshot.taken_mono_ns,
            Self::Process(process) => process.process.taken_ns,
            Self::Host(facts) => facts.mono_ns,
            Self::Log(line) => line.mono_ns,
            Self::Counters(moved) => moved.mono_ns,
            Self::Before(now) => now.mono_ns,
            Self::Tried(tried) => tried.mono_ns,
            Self::Answered(answered) => answered.mono_ns,
            Self::Verified(verified) => verified.mono_ns,
            Self::Ran(ran) => ran.mono_ns,
        }
    }
}

/// The accept queue of a listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObservedQueue {
    /// The number of the look: what one look found has the same.
    pub look: u32,
    /// The inode number of its network namespace.
    pub netns: u32,
    /// What `sock_diag` said of it.
    pub snapshot: ListenerSnapshot,
    /// Those who hold it, of whom only so many are looked at.
    pub owners: Arc<[Owner]>,
    /// How many hold it.
    pub owners_in_all: usize,
    /// Whether epoll instances wait for it, by owner, of those that have any; asked only while it is over its limit.
    pub polls: Vec<(u32, bool)>,
    /// Owners that hold a connection which they accepted; `None` where that was not asked.
    pub accepted: Option<Vec<u32>>,
    /// Its half-open requests; `None` where that was not asked, or could not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_open: Option<HalfOpen>,
}

impl ObservedQueue {
    /// Whether the next connection is refused: longer than its limit, which it may be by one.
    pub const fn is_over_its_limit(&self) -> bool {
        self.snapshot.accept_queue_len > self.snapshot.accept_queue_limit
    }
}

/// A process that holds a listener whose queue was over its limit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObservedProcess {
    /// The number of the look.
    pub look: u32,
    /// The process.
    pub process: Process,
    /// The cgroup of its maker, where that is known.
    pub cgroup: Option<ObservedCgroup>,
}

/// The cgroup of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObservedCgroup {
    /// Its path.
    pub path: String,
    /// What its processes waited for.
    pub stall: Stall,
}

/// What a network namespace says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The instant, CLOCK_MONOTONIC in nanoseconds.
    pub mono_ns: u64,
    /// The inode number of its network namespace.
    pub netns: u32,
    /// The sysctls of that namespace.
    pub sysctls: Sysctls,
    /// `nf_conntrack_count` and `nf_conntrack_max`.
    pub conntrack: Option<(u32, u32)>,
    /// Packets that were dropped since their connection could not be tracked.
    pub untracked: Option<u64>,
    /// What could not be read, in sentences.
    pub unread: Vec<String>,
}

/// What the kernel's log said of a SYN flood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The instant, CLOCK_MONOTONIC in nanoseconds.
    pub mono_ns: u64,
    /// What is said, in a sentence.
    pub says: String,
}

/// The kernel's own counters of a namespace moved between two readings. Where nothing moved there is no such item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountersMoved {
    /// The reading (CLOCK_MONOTONIC, as all instants here), and the one before.
    pub mono_ns: u64,
    /// See `mono_ns`.
    pub since_ns: u64,
    /// The inode number of its network namespace.
    pub netns: u32,
    /// What that namespace is called for people, where it has a name.
    pub netns_name: Option<Arc<NetnsName>>,
    /// By how much, by the counter's name in /proc/net/netstat (`probe_common::counter`); only those that moved.
    #[serde(deserialize_with = "super::intern::keys")]
    pub moved: BTreeMap<Name, u64>,
}

/// What `why` answered when it was asked. Asked again, rules are judged anew, and a later version may know better.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answered {
    /// The instant, CLOCK_MONOTONIC in nanoseconds.
    pub mono_ns: u64,
    /// The version of whydrop.
    pub version: String,
    /// What was asked about, as it was given.
    pub target: String,
    /// The clients that were asked about, as they were given.
    pub client: Option<String>,
    /// The verdicts, the surest first.
    pub verdicts: Vec<ToldVerdict>,
    /// What was ruled out, and why.
    pub ruled_out: Vec<(String, String)>,
    /// What was not judged for want of signals.
    pub abstained: Vec<String>,
    /// Why that may not be all, in sentences.
    pub doubts: Vec<String>,
}

/// A verdict, as it was told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToldVerdict {
    /// The name, as docs/verdicts.md has it.
    pub id: String,
    /// How sure it is.
    pub confidence: String,
    /// What it rests on, in sentences.
    pub evidence: Vec<String>,
}

impl Answered {
    /// What of an answer is kept.
    pub fn of(mono_ns: u64, answer: &Answer) -> Self {
        let diagnosis = &answer.diagnosis;
        let names = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Self {
            mono_ns,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            target: answer.target.clone(),
            client: answer.client.as_ref().map(|client| client.who.clone()),
            verdicts: diagnosis.verdicts.iter().map(ToldVerdict::of).collect(),
            ruled_out: diagnosis
                .ruled_out
                .iter()
                .map(|ruled_out| (ruled_out.id.to_owned(), ruled_out.why.clone()))
                .collect(),
            abstained: names(&diagnosis.abstained),
            doubts: answer.doubts.clone(),
        }
    }
}

impl ToldVerdict {
    fn of(verdict: &Verdict) -> Self {
        let evidence = verdict.evidence.iter();
        Self {
            id: verdict.id.to_owned(),
            confidence: verdict.confidence.name().to_owned(),
            evidence: evidence.map(|evidence| evidence.says.clone()).collect(),
        }
    }
}

/// What `verify` was asked, and the verdict it came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToldVerified {
    /// The instant, CLOCK_MONOTONIC in nanoseconds.
    pub mono_ns: u64,
    /// That of then.
    pub clock: Clock,
    /// The version of whydrop.
    pub version: String,
    /// The listener, as it was given.
    pub listener: String,
    /// How long it was to be watched.
    pub asked: Duration,
    /// Namespaces in which somebody listened there, at the end or at the beginning.
    pub listening_in: Vec<u32>,
    /// Why some namespaces could not be asked.
    pub unasked: Vec<String>,
    /// What it came to.
    pub verdict: String,
    /// Why, in sentences.
    pub reasons: Vec<String>,
}

/// The command of `run`, and how it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToldRan {
    /// The instant, CLOCK_MONOTONIC in nanoseconds.
    pub mono_ns: u64,
    /// That of then.
    pub clock: Clock,
    /// The namespace that needed no mention.
    pub own_netns: u32,
    /// The version of whydrop.
    pub version: String,
    /// The command with its arguments.
    pub command: Vec<String>,
    /// How it ended.
    pub ended: Ended,
    /// How long it ran.
    pub lasted: Duration,
    /// Whether anything was dropped: the name of a `Dropped`.
    pub dropped: String,
    /// Why that may not be all, in sentences.
    pub doubts: Vec<String>,
}
