//! An incident as it is told while it goes on: when it begins, now and then while it lasts, and when it is over. It owns
//! what it says, so that a recording can carry it.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{TopClient, netns_name::NetnsName, verdict::Verdict};
use crate::model::{cgroup::Cgroup, owner::Owner};

/// How far an incident has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Somebody was refused, and nobody was in the second before.
    Begin,
    /// It goes on.
    Update,
    /// Nobody was refused for a second, and the queue is not full.
    End,
    /// It went on when the watch ended.
    Cut,
}

impl Phase {
    /// Its name in lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Update => "update",
            Self::End => "end",
            Self::Cut => "cut",
        }
    }
}

/// What is told of an incident, all of it since its begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its number, from 1 on, in the order of their begins.
    pub id: u64,
    /// How far it has come.
    pub phase: Phase,
    /// Until then, CLOCK_MONOTONIC in nanoseconds: what is said is of the time from `start_ns` on.
    pub mono_ns: u64,
    /// The first refusal and the last.
    pub start_ns: u64,
    /// See `start_ns`.
    pub last_ns: u64,
    /// The inode number of its network namespace.
    pub netns: u32,
    /// What that namespace is called for people, where it has a name.
    #[serde(default)]
    pub netns_name: Option<Arc<NetnsName>>,
    /// The address and port that the listener is bound to.
    pub addr: SocketAddr,
    /// Who refused there, those that did most first.
    pub listeners: Vec<Refusing>,
    /// How often for which cause, by `kind/cause`.
    pub causes: BTreeMap<String, u64>,
    /// Lines were lost meanwhile, so that it may have been more.
    pub at_least: bool,
    /// Addresses.
    pub clients: u64,
    /// No more than these.
    pub clients_exact: bool,
    /// Those who were refused most, of what had a line.
    pub top_clients: Vec<TopClient>,
    /// The longest that the accept queue was found, and its limit; `None` where nothing told of it.
    pub accept_queue: Option<(u32, u32)>,
    /// Why, the cause first. None at the begin.
    pub verdicts: Vec<Said>,
    /// Why something of it cannot be told, in sentences.
    pub doubts: Vec<String>,
    /// So many incidents before it were not told of, since too many went on at once.
    #[serde(default)]
    pub untold: u64,
}

/// A listener that refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusing {
    /// The socket cookie (`sock_gen_cookie()`); 0 where it has none yet.
    pub cookie: u64,
    /// The processes that hold it, as far as they are known.
    pub owner: Arc<[Owner]>,
    /// The cgroup of its maker, where that is known.
    pub cgroup: Option<Arc<Cgroup>>,
    /// How often.
    pub drops: u64,
}

/// A verdict, as it was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The name, as docs/verdicts.md has it.
    pub id: String,
    /// `certain` or `likely`.
    pub confidence: String,
    /// One sentence.
    pub says: String,
    /// What it rests on: a sentence, and where that is known from.
    pub evidence: Vec<(String, String)>,
    /// In the order to do it.
    pub advice: Vec<String>,
}

impl Alarm {
    /// How many refusals there were.
    pub fn drops(&self) -> u64 {
        self.causes.values().sum()
    }
}

impl From<&Verdict> for Said {
    fn from(verdict: &Verdict) -> Self {
        let evidence = verdict.evidence.iter();
        let advice = verdict.advice.iter();
        Self {
            id: verdict.id.to_owned(),
            confidence: verdict.confidence.name().to_owned(),
            says: verdict.says.to_owned(),
            evidence: evidence
                .map(|one| (one.says.clone(), one.from.to_owned()))
                .collect(),
            advice: advice.map(|one| one.clone().into_owned()).collect(),
        }
    }
}
