//! An incident while it goes on.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{At, Cookie, NetnsView, Whose};
use crate::{
    model::{
        TopClient,
        alarm::{Alarm, Refusing, Said},
    },
    sink::{Reporter, clients::TopClientView},
};

#[derive(Serialize, JsonSchema)]
pub(crate) struct AlarmView<'a> {
    ts: String,
    mono_ns: u64,
    id: u64,
    #[schemars(extend("enum" = ["begin", "update", "end", "cut"]))]
    phase: &'static str,
    #[serde(flatten)]
    netns: NetnsView<'a>,
    #[serde(flatten)]
    at: At,
    start_ts: String,
    start_mono_ns: u64,
    last_ts: String,
    last_mono_ns: u64,
    drops: u64,
    at_least: bool,
    causes: &'a BTreeMap<String, u64>,
    listeners: Vec<RefusingView<'a>>,
    clients: u64,
    clients_exact: bool,
    top_clients: Vec<TopClientView>,
    accept_queue_peak: Option<u32>,
    accept_queue_limit: Option<u32>,
    verdicts: Vec<SaidView<'a>>,
    doubts: &'a [String],
    untold: u64,
}

#[derive(Serialize, JsonSchema)]
struct RefusingView<'a> {
    cookie: Cookie,
    #[serde(flatten)]
    whose: Whose<'a>,
    drops: u64,
}

#[derive(Serialize, JsonSchema)]
struct SaidView<'a> {
    id: &'a str,
    confidence: &'a str,
    says: &'a str,
    evidence: Vec<SaidEvidence<'a>>,
    advice: &'a [String],
}

#[derive(Serialize, JsonSchema)]
struct SaidEvidence<'a> {
    says: &'a str,
    from: &'a str,
}

impl<'a> AlarmView<'a> {
    pub(super) fn of(reporter: &Reporter, alarm: &'a Alarm) -> Self {
        let ts = |ns| reporter.clock.at(ns).to_string();
        let top: &[TopClient] = &alarm.top_clients;
        Self {
            ts: ts(alarm.mono_ns),
            mono_ns: alarm.mono_ns,
            id: alarm.id,
            phase: alarm.phase.name(),
            netns: NetnsView::of(alarm.netns, alarm.netns_name.as_deref()),
            at: alarm.addr.into(),
            start_ts: ts(alarm.start_ns),
            start_mono_ns: alarm.start_ns,
            last_ts: ts(alarm.last_ns),
            last_mono_ns: alarm.last_ns,
            drops: alarm.drops(),
            at_least: alarm.at_least,
            causes: &alarm.causes,
            listeners: alarm.listeners.iter().map(RefusingView::of).collect(),
            clients: alarm.clients,
            clients_exact: alarm.clients_exact,
            top_clients: TopClientView::all(top, alarm.drops()),
            accept_queue_peak: alarm.accept_queue.map(|(len, _)| len),
            accept_queue_limit: alarm.accept_queue.map(|(_, limit)| limit),
            verdicts: alarm.verdicts.iter().map(SaidView::of).collect(),
            doubts: &alarm.doubts,
            untold: alarm.untold,
        }
    }
}

impl<'a> RefusingView<'a> {
    fn of(one: &'a Refusing) -> Self {
        Self {
            cookie: Cookie(one.cookie),
            whose: Whose::of(&one.owner, one.cgroup.as_deref()),
            drops: one.drops,
        }
    }
}

impl<'a> SaidView<'a> {
    fn of(said: &'a Said) -> Self {
        let evidence = said.evidence.iter();
        Self {
            id: &said.id,
            confidence: &said.confidence,
            says: &said.says,
            evidence: evidence
                .map(|(says, from)| SaidEvidence { says, from })
                .collect(),
            advice: &said.advice,
        }
    }
}
