//! Everything that a watch tells of, in its order.

use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, sync::Arc};

use super::{
    alarm::Alarm, clock::Clock, loss::Loss, observed::Observed, rows::Residual, start::Start,
    stats::ListenerStatsRow, summary::Summary,
};
use crate::model::{
    cause::Cause,
    cgroup::Cgroup,
    kind::{Kind, Stage},
    netns_name::NetnsName,
    observation::Observation,
    owner::Owner,
    story::Story,
};

/// One tick's worth of refusals on the counters tier.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tick {
    /// The instant, CLOCK_MONOTONIC in nanoseconds.
    pub mono_ns: u64,
    /// The inode number of its network namespace.
    pub netns: u32,
    /// What that namespace is called for people, where it has a name.
    pub netns_name: Option<Arc<NetnsName>>,
    /// What happened.
    pub kind: Kind,
    /// How often since the last such line.
    pub count: u64,
    /// The listeners whose `sk_drops` grew meanwhile, with by how much.
    pub candidates: Vec<Candidate>,
    /// Why they are not known; then there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_candidates: Option<String>,
}

/// A listener that may be the one that refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// What `sock_diag` said of it.
    pub snapshot: crate::model::socket::ListenerSnapshot,
    /// By how much its `sk_drops` grew.
    pub drops_delta: u32,
    /// The processes that hold it, as far as they are known.
    pub owner: Arc<[Owner]>,
    /// The cgroup of its maker, where that is known.
    pub cgroup: Option<Arc<Cgroup>>,
}

/// What was left out of the detail on purpose since the last such line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sampled {
    /// The inode number of its network namespace.
    pub netns: u32,
    /// What that namespace is called for people, where it has a name.
    #[serde(default)]
    pub netns_name: Option<Arc<NetnsName>>,
    /// Address of the listener, where it is known.
    pub listener: Option<SocketAddr>,
    /// 0 where it is not known.
    pub cookie: u64,
    /// What happened.
    pub kind: Kind,
    /// Where in a handshake, where it was in one.
    pub stage: Option<Stage>,
    /// Why, where the kind does not say it all.
    pub cause: Option<Cause>,
    /// How often since the last such line.
    pub count: u64,
    /// From so many client addresses, at least.
    pub clients: u64,
    /// Exactly so many.
    pub clients_exact: bool,
}

/// The watch is alive, and had nothing to tell for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Whole seconds since the last line.
    pub idle_s: u64,
}

/// Everything a line may say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line<'a> {
    /// How the watch began.
    Start(&'a Start),
    /// Its own members are its item.
    #[serde(skip)]
    Event(&'a Observation),
    /// Refusals on the counters tier.
    Tick(&'a Tick),
    /// Detail that was lost.
    Loss(&'a Loss),
    /// What the hooks and the kernel counted differently.
    Residual(&'a Residual),
    /// Detail that was left out on purpose.
    Sampled(&'a Sampled),
    /// Figures of a listener.
    Stats(&'a ListenerStatsRow),
    /// What became of an attempt.
    Story(&'a Story),
    /// An incident begins, goes on, or is over.
    Incident(&'a Alarm),
    /// Nothing was told for a while.
    Heartbeat(Heartbeat),
    /// What the watch ended with.
    Summary(&'a Summary),
    /// A look beside the events. Recordings hold it, nobody prints it.
    Observed(&'a Observed),
    /// The wall clock was set, or a minute is over. Recordings hold it, nobody prints it.
    Clock(Clock),
    /// The recording is complete.
    Ended,
}
