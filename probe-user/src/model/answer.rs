//! What `whydrop why` answers.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::host_facts::HostFacts;
use super::{client::TopClient, clock::Clock, origin::Origin, summary::NetnsNames, tally::Causes};
use crate::model::{
    cgroup::Cgroup,
    incident::{Place, Told},
    kind::Kind,
    netns_name::NetnsName,
    owner::Owner,
    signals::Signals,
    socket::ListenerSnapshot,
    sysctls::Sysctls,
    tier::Tier,
    verdict::{Diagnosis, Verdict},
};

/// A listener of the port before the watch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listening {
    pub netns: u32,
    pub netns_name: Option<Arc<NetnsName>>,
    pub owner: Arc<[Owner]>,
    pub cgroup: Option<Arc<Cgroup>>,
    pub snapshot: ListenerSnapshot,
}

/// What was there before the watch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Now {
    pub mono_ns: u64,
    /// What was asked about.
    pub target: String,
    /// The namespace that was asked about, `None` for all.
    pub only: Option<u32>,
    /// That of the first listener.
    pub netns: u32,
    pub listeners: Vec<Listening>,
    /// On the same port at other addresses.
    pub elsewhere: Vec<Listening>,
    pub sysctls: Sysctls,
    /// What the other namespaces say in which somebody listens.
    #[serde(default)]
    pub others: Vec<HostFacts>,
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
    pub to: Option<SocketAddr>,
    pub took: Duration,
    pub outcome: String,
}

/// Outcomes that rules know.
impl Tried {
    pub const CONNECTED: &str = "connected";
    pub const NO_ANSWER: &str = "no answer";
    pub const NO_PORT: &str = "no source port left (EADDRNOTAVAIL)";
}

/// An answer that came before the time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Early {
    /// For how long it was to be watched.
    pub of: Duration,
    /// How long the answer had been the same.
    pub same_for: Duration,
}

/// Of whom alone the answer is.
#[derive(Clone, Debug)]
pub struct OfClient {
    /// An address or a network.
    pub who: String,
    /// Events that may or may not have been theirs.
    pub untold: u64,
}

/// What is answered of one listener, of all of an SO_REUSEPORT group, or of an address where nobody listens.
#[derive(Clone, Debug)]
pub struct ListenerAnswer {
    /// `None`: of refusals that nobody can place.
    pub place: Option<Place>,
    /// Who listens there, those that refused most first; empty where nobody does.
    pub members: Vec<Holding>,
    /// Those that are not among them, since there were too many.
    pub others: Others,
    /// Of this place alone.
    pub signals: Signals,
    pub diagnosis: Diagnosis,
    pub first_drop_ns: Option<u64>,
    /// Those who were refused most, of what had a line.
    pub top_clients: Vec<TopClient>,
}

/// Of listeners that are not named one by one, and of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// How many there were.
    pub listeners: usize,
    /// What they refused together.
    pub refusals: u64,
    /// Whether all listeners of that place were there one after another.
    pub are_in_turn: bool,
}

/// A listener and whose it is.
#[derive(Clone, Debug)]
pub struct Holding {
    pub cookie: u64,
    pub owner: Arc<[Owner]>,
    pub cgroup: Option<Arc<Cgroup>>,
    pub refusals: u64,
}

/// What was seen of all listeners together.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub watched: Duration,
    /// With a client asked about, what lines told of it.
    pub causes: Causes,
    /// Of all clients.
    pub refusals: u64,
    /// Client addresses that had a line.
    pub clients: usize,
    /// Connections that were accepted, as far as is known.
    pub accepted: u64,
    pub adds_up: bool,
    /// Sysctls of the namespace of the first listener.
    pub sysctls: Sysctls,
    pub blind: Vec<&'static str>,
}

pub struct Answer {
    pub origin: Origin,
    /// When the watch ended.
    pub mono_ns: u64,
    /// What the wall clock showed then.
    pub clock: Clock,
    /// The namespace that needs no mention.
    pub own_netns: u32,
    pub target: String,
    pub client: Option<OfClient>,
    /// `None` where nobody looked.
    pub now: Option<Now>,
    /// What the kernel's log said of SYN floods at this port meanwhile, where that was recorded.
    pub kernel_log: Vec<String>,
    pub seen: Seen,
    /// Of each listener that refused, the worst first.
    pub answers: Vec<ListenerAnswer>,
    /// So many others refused nobody.
    pub quiet: usize,
    /// Rules that had their signals nowhere.
    pub abstained: Vec<&'static str>,
    pub incidents: Told,
    pub first_drop: Option<Duration>,
    pub tried: Option<Tried>,
    /// Why the watch ended before its time, where it did.
    pub early: Option<Early>,
    pub tier: Tier,
    pub lost: u64,
    /// What the namespaces of its incidents are called.
    pub netns_names: NetnsNames,
    /// What happened that no listener decided on, in sentences.
    pub notes: Vec<String>,
    /// Why something may have happened that is not in the answer.
    pub doubts: Vec<String>,
    /// What a recording lacks, so that it could not be judged by.
    pub missing: Vec<String>,
    /// Whether it is of a recording: what happens now is not in it.
    pub is_recorded: bool,
}

impl ListenerAnswer {
    /// What was refused to whoever came there, in all.
    pub fn harm(&self) -> u64 {
        let signals = &self.signals;
        let others = [Kind::Refused, Kind::PacketDrop].map(|kind| signals.of_kind(kind));
        signals.refusals + others.iter().sum::<u64>()
    }
}

impl Answer {
    /// Whether nothing is missing that is known to be.
    pub fn is_sound(&self) -> bool {
        self.lost == 0 && self.doubts.is_empty() && self.seen.adds_up
    }

    /// Of all places, those of the worst first.
    pub fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.answers.iter().flat_map(|one| &one.diagnosis.verdicts)
    }
}
