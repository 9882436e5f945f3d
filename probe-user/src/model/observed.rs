//! What is looked at beside the events: queues, processes, and what a host says of itself.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Early, ListenerAnswer, Now, Tried},
    around::Around,
    awaits::Awaits,
    clock::Clock,
    hold::{Hold, Served},
    host_facts::HostFacts,
    intern::Name,
    ran::Ended,
};
use crate::model::{
    netns_name::NetnsName,
    owner::{Owner, Parent},
    process::Process,
    socket::{HalfOpen, ListenerSnapshot},
    stall::Stall,
    verdict::Verdict,
};

/// A look, at the instant that it was taken. Recordings hold it, nobody prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    Queue(Box<ObservedQueue>),
    Process(Box<ObservedProcess>),
    Host(Box<HostFacts>),
    Log(LogLine),
    Counters(Box<CountersMoved>),
    /// What was there before the watch, of a port that was asked about.
    Before(Box<Now>),
    /// What there is around that port, before the watch and after it.
    Around(Box<Around>),
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
    pub const fn mono_ns(&self) -> u64 {
        match self {
            Self::Queue(queue) => queue.snapshot.taken_mono_ns,
            Self::Process(process) => process.process.taken_ns,
            Self::Host(facts) => facts.mono_ns,
            Self::Log(line) => line.mono_ns,
            Self::Counters(moved) => moved.mono_ns,
            Self::Before(now) => now.mono_ns,
            Self::Around(around) => around.mono_ns,
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
    pub netns: u32,
    pub snapshot: ListenerSnapshot,
    /// Those who hold it, of whom only so many are looked at.
    pub owners: Arc<[Owner]>,
    /// How many hold it.
    pub owners_in_all: usize,
    /// Whether epoll instances wait for it, by owner, of those that have any; asked only while it is over its limit.
    pub polls: Vec<(u32, bool)>,
    /// Owners that hold a connection which they accepted; `None` where that was not asked.
    pub accepted: Option<Vec<u32>>,
    /// Owners that hold connections, all of which may be older than they are; of those that could be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inherited: Vec<u32>,
    /// How its owners hold it; of those that could be looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    /// Connections that were accepted from it and live; `None` where that was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<Served>,
    /// Its half-open requests; `None` where that was not asked, or could not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_open: Option<HalfOpen>,
    /// Who has started those who hold it, of a listener that was not there before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Parent>,
}

impl ObservedQueue {
    pub const fn is_over_its_limit(&self) -> bool {
        self.snapshot.accept_queue_len > self.snapshot.accept_queue_limit
    }
}

/// A process that holds a listener whose queue was over its limit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObservedProcess {
    pub look: u32,
    pub process: Process,
    pub cgroup: Option<ObservedCgroup>,
    /// What threads of it wait for, as far as it is known; `None` where that was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<Vec<(u32, Awaits)>>,
}

/// The cgroup of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObservedCgroup {
    pub path: String,
    pub stall: Stall,
}

/// What the kernel's log said of a SYN flood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub mono_ns: u64,
    pub says: String,
}

/// The kernel's own counters of a namespace moved between two readings. Where nothing moved there is no such item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountersMoved {
    /// The reading (CLOCK_MONOTONIC, as all instants here), and the one before.
    pub mono_ns: u64,
    pub since_ns: u64,
    pub netns: u32,
    pub netns_name: Option<Arc<NetnsName>>,
    /// By how much, by the counter's name in /proc/net/netstat (`probe_common::counter`); only those that moved.
    #[serde(deserialize_with = "super::intern::keys")]
    pub moved: BTreeMap<Name, u64>,
}

/// What `why` answered when it was asked. Asked again, rules are judged anew, and a later version may know better.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answered {
    pub mono_ns: u64,
    pub version: String,
    pub target: String,
    pub client: Option<String>,
    /// Of all listeners, those of the worst first.
    pub verdicts: Vec<ToldVerdict>,
    /// What was ruled out, and why; of recordings in which one answer was of all listeners.
    #[serde(default)]
    pub ruled_out: Vec<(String, String)>,
    /// What was judged nowhere for want of signals.
    pub abstained: Vec<String>,
    /// Listener by listener.
    #[serde(default)]
    pub answers: Vec<ToldAnswer>,
    pub doubts: Vec<String>,
    /// Why the watch ended before its time, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<Early>,
}

/// What was answered of one listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToldAnswer {
    /// `None`: of refusals that nobody could place.
    pub netns: Option<u32>,
    pub addr: Option<SocketAddr>,
    pub verdicts: Vec<ToldVerdict>,
    pub ruled_out: Vec<(String, String)>,
    pub abstained: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToldVerdict {
    pub id: String,
    pub confidence: String,
    pub evidence: Vec<String>,
}

impl Answered {
    pub fn of(mono_ns: u64, answer: &Answer) -> Self {
        Self {
            mono_ns,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            target: answer.target.clone(),
            client: answer.client.as_ref().map(|client| client.who.clone()),
            verdicts: answer.verdicts().map(ToldVerdict::of).collect(),
            ruled_out: Vec::new(),
            abstained: names(&answer.abstained),
            answers: answer.answers.iter().map(ToldAnswer::of).collect(),
            doubts: answer.doubts.clone(),
            early: answer.early,
        }
    }
}

impl ToldAnswer {
    fn of(answer: &ListenerAnswer) -> Self {
        let diagnosis = &answer.diagnosis;
        let ruled_out = diagnosis.ruled_out.iter();
        Self {
            netns: answer.place.map(|place| place.netns),
            addr: answer.place.map(|place| place.addr),
            verdicts: diagnosis.verdicts.iter().map(ToldVerdict::of).collect(),
            ruled_out: ruled_out
                .map(|ruled_out| (ruled_out.id.to_owned(), ruled_out.why.clone()))
                .collect(),
            abstained: names(&diagnosis.abstained),
        }
    }
}

fn names(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
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
    pub mono_ns: u64,
    /// That of then.
    pub clock: Clock,
    pub version: String,
    pub listener: String,
    pub asked: Duration,
    /// Namespaces in which somebody listened there, at the end or at the beginning.
    pub listening_in: Vec<u32>,
    /// Why some namespaces could not be asked.
    pub unasked: Vec<String>,
    pub verdict: String,
    pub reasons: Vec<String>,
    /// What it was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headroom: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u64>,
}

/// The command of `run`, and how it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToldRan {
    pub mono_ns: u64,
    /// That of then.
    pub clock: Clock,
    /// The namespace that needed no mention.
    pub own_netns: u32,
    pub version: String,
    pub command: Vec<String>,
    pub ended: Ended,
    pub lasted: Duration,
    pub dropped: String,
    pub doubts: Vec<String>,
    /// What was asked for, and nobody was found to listen there, at the beginning or at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_listener: Vec<WithoutListener>,
    /// Namespaces in which somebody was found to listen where it was asked for; `None` where not all could be asked, or
    /// nothing was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listening_in: Option<Vec<u32>>,
    /// Addresses of this host among those of clients that found no listener; loopback is not asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_clients: Vec<IpAddr>,
    /// Why others may be of this host, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unasked_clients: Vec<String>,
}

/// Where nobody was found to listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithoutListener {
    /// As it was asked for.
    pub listener: String,
    /// Why that may be wrong: namespaces that could not be asked.
    pub unasked: Vec<String>,
}
