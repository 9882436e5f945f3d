//! What a watch ends with, as JSON has it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Cookie,
    address::AtOrNull,
    counts::{by_cause, by_kind},
    group::{GroupView, group_view},
    head::Head,
    identity::{NetnsView, Whose},
    names,
    stats::StatsView,
    story::TotalsView,
};
use crate::{
    model::{
        Counts, ListenerTally, NetnsNames, Row, Summary, counted::Skipped, gone::Others, kind::Kind,
    },
    sink::{Reporter, clients::TopClientView},
};

#[derive(Serialize, JsonSchema)]
pub(crate) struct SummaryView<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    ts: String,
    duration_s: f64,
    #[schemars(extend("enum" = names::tiers()))]
    tier: &'a str,
    events: BTreeMap<&'a str, Option<u64>>,
    stages: BTreeMap<String, u64>,
    causes: BTreeMap<String, u64>,
    lost: u64,
    /// Records that a filter kept from the ring; counted like all others.
    filtered: u64,
    loss: LossView,
    skipped: &'a Skipped,
    /// Only where it is known whom it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    top_clients: Option<Vec<TopClientView>>,
    listeners: Vec<TallyView<'a>>,
    stats: Vec<StatsView<'a>>,
    /// Those that have no row in either: they closed long ago, or found no room for counts of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_listeners: Option<OthersView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stories: Option<TotalsView>,
    reconciliation: Vec<RowView<'a>>,
    unattributed_may_be: &'a [&'a str],
    /// What could not be read, and is missing here.
    unread: &'a [String],
    moving: bool,
    /// Only in one that was asked for while the watch went on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    interim: bool,
}

#[derive(Serialize, JsonSchema)]
struct OthersView<'a> {
    /// Those that closed; of others it is not known how many they are.
    closed: u64,
    /// Those of which it is not known that they closed: nothing came to them any more.
    quiet: u64,
    events: BTreeMap<&'a str, u64>,
    causes: BTreeMap<String, u64>,
    established: u64,
    /// Of these, connections that were in a queue when its listener was closed.
    reset: u64,
}

impl<'a> OthersView<'a> {
    fn of(others: &'a Others) -> Option<Self> {
        (!others.is_empty()).then(|| Self {
            closed: others.listeners,
            quiet: others.quiet,
            events: by_kind(&others.counts),
            causes: by_cause(&others.causes),
            established: others.established,
            reset: others.reset,
        })
    }
}

#[derive(Serialize, JsonSchema)]
struct LossView {
    ring_full: u64,
    output_full: u64,
    undecodable: u64,
    counts_full: u64,
    sums_full: u64,
    late: u64,
    unreadable: u64,
    stats_full: u64,
}

impl LossView {
    const fn of(summary: &Summary) -> Self {
        let (loss, health) = (&summary.loss, &summary.health);
        Self {
            ring_full: loss.ring_full,
            output_full: loss.output_full,
            undecodable: loss.undecodable,
            counts_full: health.counts_full,
            sums_full: health.sums_full,
            late: health.late,
            unreadable: health.unreadable,
            stats_full: health.stats_full,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct RowView<'a> {
    #[serde(flatten)]
    netns: NetnsView<'a>,
    counter: &'a str,
    kernel: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_kernel: Option<String>,
    seen: u64,
    sampled: u64,
    lost: u64,
    unattributed: Option<i64>,
}

impl<'a> RowView<'a> {
    fn of(row: &'a Row, names: &'a NetnsNames) -> Self {
        Self {
            netns: NetnsView::among(row.netns, names),
            counter: row.counter,
            kernel: row.kernel,
            no_kernel: row.no_kernel.map(|why| why.to_string()),
            seen: row.seen,
            sampled: row.sampled,
            lost: row.lost,
            unattributed: row.unattributed,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct TallyView<'a> {
    cookie: Cookie,
    #[serde(flatten)]
    netns: NetnsView<'a>,
    #[serde(flatten)]
    at: AtOrNull,
    #[serde(flatten)]
    whose: Whose<'a>,
    events: BTreeMap<&'a str, u64>,
    causes: BTreeMap<String, u64>,
    group: Option<GroupView>,
}

impl<'a> TallyView<'a> {
    fn of(tally: &'a ListenerTally, summary: &'a Summary) -> Self {
        Self {
            cookie: Cookie(tally.cookie),
            netns: NetnsView::among(tally.netns, &summary.netns_names),
            at: tally.addr.into(),
            whose: Whose::of(&tally.owner, tally.cgroup.as_deref()),
            events: by_kind(&tally.counts),
            causes: by_cause(&tally.causes),
            group: group_view(&summary.groups, tally.cookie),
        }
    }
}

/// All kinds. That there was none of one is known where it can be seen and everything could be read.
fn every_kind(summary: &Summary) -> BTreeMap<&'static str, Option<u64>> {
    let happened = by_kind(&summary.counts);
    let number = |kind: &Kind| {
        let is_known = summary.unread.is_empty() && !summary.unseen.contains(kind);
        let counted = happened.get(kind.name()).copied();
        counted.or(is_known.then_some(0))
    };
    let kinds = Kind::ALL.iter();
    kinds.map(|kind| (kind.name(), number(kind))).collect()
}

fn by_stage(counts: &Counts) -> BTreeMap<String, u64> {
    let named = counts
        .iter()
        .filter_map(|((kind, stage), n)| Some((format!("{kind}/{}", (*stage)?.name()), *n)));
    named.collect()
}

impl<'a> SummaryView<'a> {
    pub(crate) fn of(reporter: &'a Reporter, ts: String, summary: &'a Summary) -> Self {
        let rows = summary.rows.iter();
        let tallies = summary.listeners.iter();
        Self {
            head: Head::of(&reporter.origin),
            ts,
            duration_s: summary.duration.as_secs_f64(),
            tier: summary.tier.name(),
            events: every_kind(summary),
            stages: by_stage(&summary.counts),
            causes: by_cause(&summary.causes),
            lost: summary.loss.total(),
            filtered: summary.health.filtered,
            loss: LossView::of(summary),
            skipped: &summary.skipped,
            top_clients: (summary.top_clients.as_ref())
                .map(|clients| TopClientView::all(clients, summary.harm())),
            listeners: tallies.map(|tally| TallyView::of(tally, summary)).collect(),
            stats: summary.stats.iter().map(StatsView::from).collect(),
            other_listeners: OthersView::of(&summary.others),
            stories: summary.stories.as_ref().map(TotalsView::from),
            reconciliation: rows
                .map(|row| RowView::of(row, &summary.netns_names))
                .collect(),
            unattributed_may_be: summary.unattributed_may_be(),
            unread: &summary.unread,
            moving: summary.moving,
            interim: summary.interim,
        }
    }
}
