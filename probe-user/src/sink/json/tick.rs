//! Refusals of the counters tier, as JSON has it: events whose client is not known.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Cookie,
    address::{At, NoEnds},
    identity::{NetnsView, Whose},
    names,
};
use crate::{
    model::{Candidate, Tick, socket::ListenerSnapshot},
    sink::Reporter,
};

#[derive(Serialize, JsonSchema)]
pub(crate) struct TickView<'a> {
    ts: String,
    mono_ns: u64,
    #[schemars(extend("enum" = names::kinds()))]
    kind: &'a str,
    stage: (),
    #[serde(flatten)]
    ends: NoEnds,
    #[serde(flatten)]
    netns: NetnsView<'a>,
    count: u64,
    listener: Option<CandidateView<'a>>,
    candidates: Option<Vec<CandidateView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_candidates: Option<&'a str>,
    #[schemars(extend("enum" = names::tiers()))]
    tier: &'a str,
}

#[derive(Serialize, JsonSchema)]
struct CandidateView<'a> {
    cookie: Cookie,
    #[serde(flatten)]
    at: At,
    accept_queue_len: u32,
    accept_queue_limit: u32,
    drops_delta: u32,
    uid: u32,
    inode: u32,
    #[serde(flatten)]
    whose: Whose<'a>,
}

impl<'a> From<&'a Candidate> for CandidateView<'a> {
    fn from(candidate: &'a Candidate) -> Self {
        let snapshot: &ListenerSnapshot = &candidate.snapshot;
        Self {
            cookie: Cookie(snapshot.cookie),
            at: snapshot.addr.into(),
            accept_queue_len: snapshot.accept_queue_len,
            accept_queue_limit: snapshot.accept_queue_limit,
            drops_delta: candidate.drops_delta,
            uid: snapshot.uid,
            inode: snapshot.inode,
            whose: Whose::of(&candidate.owner, candidate.cgroup.as_deref()),
        }
    }
}

impl<'a> TickView<'a> {
    pub(crate) fn of(reporter: &'a Reporter, tick: &'a Tick) -> Self {
        let only = match tick.candidates.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        Self {
            ts: reporter.clock.at(tick.mono_ns).to_string(),
            mono_ns: tick.mono_ns,
            kind: tick.kind.name(),
            stage: (),
            ends: NoEnds::default(),
            netns: NetnsView::of(tick.netns, tick.netns_name.as_deref()),
            count: tick.count,
            listener: only.map(CandidateView::from),
            candidates: match tick.no_candidates {
                None => Some(tick.candidates.iter().map(CandidateView::from).collect()),
                Some(_) => None,
            },
            no_candidates: tick.no_candidates.as_deref(),
            tier: reporter.tier.name(),
        }
    }
}
