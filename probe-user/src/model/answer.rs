//! What `whydrop why` answers.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{clock::Clock, origin::Origin, summary::NetnsNames};
use crate::model::{
    cgroup::Cgroup, incident::Told, netns_name::NetnsName, owner::Owner, signals::Signals,
    socket::ListenerSnapshot, sysctls::Sysctls, tier::Tier, verdict::Diagnosis,
};

/// A listener of the port before the watch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listening {
    /// The inode number of its network namespace.
    pub netns: u32,
    /// What that namespace is called for people, where it has a name.
    pub netns_name: Option<Arc<NetnsName>>,
    /// The processes that hold it, as far as they are known.
    pub owner: Arc<[Owner]>,
    /// The cgroup of its maker, where that is known.
    pub cgroup: Option<Arc<Cgroup>>,
    /// What `sock_diag` said of it.
    pub snapshot: ListenerSnapshot,
}

/// What was there before the watch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Now {
    /// The instant, CLOCK_MONOTONIC in nanoseconds.
    pub mono_ns: u64,
    /// What was asked about.
    pub target: String,
    /// The namespace that was asked about, `None` for all.
    pub only: Option<u32>,
    /// That of the first listener.
    pub netns: u32,
    /// Who listens where the target says.
    pub listeners: Vec<Listening>,
    /// On the same port at other addresses.
    pub elsewhere: Vec<Listening>,
    /// The sysctls of that namespace.
    pub sysctls: Sysctls,
    /// What the kernel's log says of SYN floods at this port.
    pub kernel_log: Vec<String>,
    /// Namespaces that could not be asked who listens there: why not.
    pub unasked: Vec<String>,
    /// What else could not be read.
    pub unread: Vec<String>,
}

/// The attempt of `--probe`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tried {
    /// When it was over.
    pub mono_ns: u64,
    /// Where to; `None` where nobody listened.
    pub to: Option<SocketAddr>,
    /// How long it took.
    pub took: Duration,
    /// How it ended, in words.
    pub outcome: String,
}

/// Outcomes that rules know.
impl Tried {
    /// The outcome of an attempt that succeeded.
    pub const CONNECTED: &str = "connected";
    /// The outcome of one that nobody answered.
    pub const NO_ANSWER: &str = "no answer";
}

/// Of whom alone the answer is.
#[derive(Clone, Debug)]
pub struct OfClient {
    /// An address or a network.
    pub who: String,
    /// Events that may or may not have been theirs.
    pub untold: u64,
}

/// What `why` answers.
pub struct Answer {
    /// The host that it is of.
    pub origin: Origin,
    /// When the watch ended.
    pub mono_ns: u64,
    /// What the wall clock showed then.
    pub clock: Clock,
    /// What was asked about, as it was given.
    pub target: String,
    /// The clients that it is about, where any were asked for.
    pub client: Option<OfClient>,
    /// `None` where nobody looked.
    pub now: Option<Now>,
    /// What the kernel's log said of SYN floods at this port meanwhile, where that was recorded.
    pub kernel_log: Vec<String>,
    /// What it was judged by.
    pub signals: Signals,
    /// The verdicts.
    pub diagnosis: Diagnosis,
    /// Refusals that are close in time, joined.
    pub incidents: Told,
    /// From the beginning of the watch to the first refusal.
    pub first_drop: Option<Duration>,
    /// whydrop's own attempt, where it made one.
    pub tried: Option<Tried>,
    /// The way of watching.
    pub tier: Tier,
    /// Events that were lost before they were looked at.
    pub lost: u64,
    /// What the namespaces of its incidents are called.
    pub netns_names: NetnsNames,
    /// Why something may have happened that is not in the answer.
    pub doubts: Vec<String>,
    /// What a recording lacks, so that it could not be judged by.
    pub missing: Vec<String>,
    /// Whether it is of a recording: what happens now is not in it.
    pub is_recorded: bool,
}
