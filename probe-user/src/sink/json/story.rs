//! The story of an attempt and what became of all, as JSON has it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{At, Cookie, NetnsView, Whose, address::Ends, names};
use crate::model::{
    outcome::Outcome,
    story::{Story, Totals},
};

#[derive(Serialize, JsonSchema)]
struct ListenerView {
    cookie: Cookie,
    #[serde(flatten)]
    at: At,
}

#[derive(Serialize, JsonSchema)]
struct RefusalsView {
    syn: u32,
    ack: u32,
    cookie_ack: u32,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct StoryView<'a> {
    mono_ns: u64,
    #[schemars(extend("enum" = names::outcomes()))]
    outcome: &'a str,
    #[serde(flatten)]
    ends: Ends,
    #[serde(flatten)]
    netns: NetnsView<'a>,
    listener: Option<ListenerView>,
    began_mono_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    tries: u32,
    refusals: RefusalsView,
    causes: &'a BTreeMap<String, u32>,
    #[serde(flatten)]
    whose: Whose<'a>,
    #[schemars(extend("enum" = names::tiers()))]
    tier: &'a str,
}

/// Nanoseconds in a unit, to the microsecond.
fn in_unit(ns: u64, unit_us: f64) -> f64 {
    (ns / 1000) as f64 / unit_us
}

impl<'a> StoryView<'a> {
    pub(crate) fn of(story: &'a Story, tier: &'a str) -> Self {
        let mut view = Self {
            mono_ns: story.last_ns,
            outcome: story.outcome.name(),
            ends: Ends::of(story.attempt.client, story.attempt.local),
            netns: NetnsView::of(story.attempt.netns, story.whose.netns_name.as_deref()),
            listener: story.listener.map(|(cookie, addr)| ListenerView {
                cookie: Cookie(cookie),
                at: addr.into(),
            }),
            began_mono_ns: story.first_ns,
            delay_ms: None,
            silent_s: None,
            by: None,
            why: None,
            tries: story.tries(),
            refusals: RefusalsView {
                syn: story.refusals.syn,
                ack: story.refusals.ack,
                cookie_ack: story.refusals.cookie_ack,
            },
            causes: &story.causes,
            whose: Whose::of(&story.whose.owner, story.whose.cgroup.as_deref()),
            tier,
        };
        match story.outcome {
            Outcome::ConnectedLate { delay_ns } => view.delay_ms = Some(in_unit(delay_ns, 1e3)),
            Outcome::GaveUp { silent_ns } => view.silent_s = Some(in_unit(silent_ns, 1e6)),
            Outcome::Reset { by } => view.by = Some(by.name()),
            Outcome::Unknown { why } => view.why = Some(why.name()),
            Outcome::Ghost | Outcome::StillTrying => {}
        }
        view
    }
}

#[derive(Serialize, JsonSchema)]
struct DelayView {
    p50: f64,
    p99: f64,
    max: f64,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct TotalsView {
    outcomes: BTreeMap<&'static str, u64>,
    delay_ms: Option<DelayView>,
    let_go: u64,
    sampled: u64,
    lost: u64,
}

impl From<&Totals> for TotalsView {
    fn from(totals: &Totals) -> Self {
        let of = |name| (name, totals.outcomes.get(name).copied().unwrap_or(0));
        Self {
            outcomes: Outcome::NAMES.into_iter().map(of).collect(),
            delay_ms: totals.delays_ns().map(|ns| {
                let [p50, p99, max] = ns.map(|ns| in_unit(ns, 1e3));
                DelayView { p50, p99, max }
            }),
            let_go: totals.let_go,
            sampled: totals.sampled,
            lost: totals.lost,
        }
    }
}
