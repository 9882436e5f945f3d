//! Everything that a watch tells of, in its order.

use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, sync::Arc};

use super::{
    clock::Clock, loss::Loss, observed::Observed, rows::Residual, start::Start,
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
    pub mono_ns: u64,
    pub netns: u32,
    pub netns_name: Option<Arc<NetnsName>>,
    pub kind: Kind,
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
    pub snapshot: crate::model::socket::ListenerSnapshot,
    pub drops_delta: u32,
    pub owner: Arc<[Owner]>,
    pub cgroup: Option<Arc<Cgroup>>,
}

/// What was left out of the detail on purpose since the last such line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sampled {
    pub netns: u32,
    #[serde(default)]
    pub netns_name: Option<Arc<NetnsName>>,
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
    Heartbeat(Heartbeat),
    Summary(&'a Summary),
    /// A look beside the events. Recordings hold it, nobody prints it.
    Observed(&'a Observed),
    /// The wall clock was set, or a minute is over. Recordings hold it, nobody prints it.
    Clock(Clock),
    /// The recording is complete.
    Ended,
}
