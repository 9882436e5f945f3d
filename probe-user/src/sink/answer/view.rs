//! The answer as JSON.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::Serialize;

use super::place::{PlaceView, named};
use crate::{
    model::{Answer, Listening},
    sink::{
        incident::IncidentView,
        json::{At, Cookie, Head, NetnsView, Whose},
    },
};

impl Answer {
    pub(super) fn object(&self) -> AnswerView<'_> {
        let now = self.now.as_ref();
        let sysctls = self.seen.sysctls;
        let known = self.known();
        let answers = self.answers.iter();
        let incidents = self.incidents.incidents.iter();
        AnswerView {
            r#type: "diagnosis",
            head: Head::of(&self.origin),
            ts: self.clock.at(self.mono_ns).to_string(),
            target: &self.target,
            client: self.client.as_ref().map(|client| client.who.as_str()),
            untold: self.client.as_ref().map(|client| client.untold),
            tier: self.tier.name(),
            watched_s: self.seen.watched.as_secs_f64(),
            first_drop_s: self.first_drop.map(|first| first.as_secs_f64()),
            listeners: now.map(|now| now.listeners.iter().map(ListeningView::of).collect()),
            elsewhere: now.map(|now| now.elsewhere.iter().map(ListeningView::of).collect()),
            somaxconn: sysctls.somaxconn,
            syncookies: sysctls.syncookies,
            abort_on_overflow: sysctls.abort_on_overflow,
            max_syn_backlog: sysctls.max_syn_backlog,
            kernel_log: now.map_or(&self.kernel_log, |now| &now.kernel_log),
            causes: named(&self.seen.causes),
            clients: self.seen.clients,
            answers: answers.map(|one| PlaceView::of(one, known)).collect(),
            listeners_without: self.quiet,
            abstained: &self.abstained,
            incidents: incidents
                .map(|incident| IncidentView::of(incident, self.clock, &self.netns_names))
                .collect(),
            incidents_let_go: self.incidents.let_go,
            adds_up: self.seen.adds_up,
            notes: &self.notes,
            doubts: &self.doubts,
            missing: &self.missing,
            lost: self.lost,
            probe: self.tried.as_ref().map(|tried| TriedView {
                to: tried.to,
                to_addr: tried.to.map(|to| to.ip()),
                to_port: tried.to.map(|to| to.port()),
                took_ms: tried.took.as_millis() as u64,
                outcome: &tried.outcome,
            }),
            scene: None,
            truth: None,
        }
    }

    /// With a scene of the demo and the verdicts that are right.
    pub(super) fn scene<'a>(&'a self, scene: &'a str, truth: &'a [&'a str]) -> AnswerView<'a> {
        AnswerView {
            scene: Some(scene),
            truth: Some(truth),
            ..self.object()
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct AnswerView<'a> {
    #[schemars(extend("const" = "diagnosis"))]
    r#type: &'static str,
    #[serde(flatten)]
    head: Head<'a>,
    ts: String,
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    untold: Option<u64>,
    tier: &'static str,
    watched_s: f64,
    first_drop_s: Option<f64>,
    listeners: Option<Vec<ListeningView<'a>>>,
    elsewhere: Option<Vec<ListeningView<'a>>>,
    somaxconn: Option<u32>,
    syncookies: Option<u32>,
    abort_on_overflow: Option<u32>,
    max_syn_backlog: Option<u32>,
    kernel_log: &'a [String],
    causes: std::collections::BTreeMap<String, u64>,
    clients: usize,
    answers: Vec<PlaceView<'a>>,
    listeners_without: usize,
    abstained: &'a [&'static str],
    incidents: Vec<IncidentView<'a>>,
    incidents_let_go: u64,
    adds_up: bool,
    notes: &'a [String],
    doubts: &'a [String],
    missing: &'a [String],
    lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<TriedView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scene: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truth: Option<&'a [&'a str]>,
}

#[derive(Serialize, JsonSchema)]
struct TriedView<'a> {
    to: Option<SocketAddr>,
    to_addr: Option<IpAddr>,
    to_port: Option<u16>,
    took_ms: u64,
    outcome: &'a str,
}

#[derive(Serialize, JsonSchema)]
struct ListeningView<'a> {
    #[serde(flatten)]
    netns: NetnsView<'a>,
    #[serde(flatten)]
    at: At,
    cookie: Cookie,
    accept_queue_len: u32,
    accept_queue_limit: u32,
    sk_drops: Option<u32>,
    #[serde(flatten)]
    whose: Whose<'a>,
}

impl<'a> ListeningView<'a> {
    fn of(listening: &'a Listening) -> Self {
        Self {
            netns: NetnsView::of(listening.netns, listening.netns_name.as_deref()),
            at: listening.snapshot.addr.into(),
            cookie: Cookie(listening.snapshot.cookie),
            accept_queue_len: listening.snapshot.accept_queue_len,
            accept_queue_limit: listening.snapshot.accept_queue_limit,
            sk_drops: listening.snapshot.drops,
            whose: Whose::of(&listening.owner, listening.cgroup.as_deref()),
        }
    }
}
