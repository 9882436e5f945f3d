//! What a listener goes through before anything is lost, as JSON has it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Cookie, NetnsView, Whose, address::AtOrNull, counts::by_cause};
use crate::model::{Accepted, ListenerStatsRow, Refusals, kind::Kind};

#[derive(Serialize, JsonSchema)]
pub(crate) struct StatsView<'a> {
    #[serde(flatten)]
    netns: NetnsView<'a>,
    cookie: Cookie,
    #[serde(flatten)]
    at: AtOrNull,
    #[serde(flatten)]
    whose: Whose<'a>,
    closed: bool,
    established: u64,
    accepted: Option<u64>,
    /// `hook`, or `queue` where it is told by what is not queued any more.
    #[schemars(extend("enum" = ["hook", "queue", null]))]
    accepted_from: Option<&'static str>,
    queued: Option<u32>,
    reset: u64,
    accept_queue: QueueView,
    syn_queue: QueueView,
    cookies_sent: u64,
    /// By kind; `null` where a recording does not hold it.
    refusals: Option<BTreeMap<&'static str, u64>>,
    /// Of the refusals, as `kind/cause`.
    causes: Option<BTreeMap<String, u64>>,
    wait_us: Option<WaitView>,
}

#[derive(Serialize, JsonSchema)]
struct QueueView {
    peak: u32,
    limit: u32,
}

#[derive(Serialize, JsonSchema)]
struct WaitView {
    p50: u64,
    p99: u64,
    max: u64,
}

/// All kinds of refusals, also those that did not happen.
fn by_refusal(refusals: &Refusals) -> BTreeMap<&'static str, u64> {
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.is_refusal());
    kinds
        .map(|kind| {
            let n = refusals.kinds.get(&kind).copied().unwrap_or(0);
            (kind.name(), n)
        })
        .collect()
}

impl<'a> From<&'a ListenerStatsRow> for StatsView<'a> {
    fn from(row: &'a ListenerStatsRow) -> Self {
        let queue = |(peak, limit)| QueueView { peak, limit };
        Self {
            netns: NetnsView::of(row.netns, row.netns_name.as_deref()),
            cookie: Cookie(row.cookie),
            at: row.addr.into(),
            whose: Whose::of(&row.owner, row.cgroup.as_deref()),
            closed: row.is_closed,
            established: row.established,
            accepted: row.accepted.number(),
            accepted_from: match row.accepted {
                Accepted::Counted(_) => Some("hook"),
                Accepted::Derived(_) => Some("queue"),
                Accepted::Unknown => None,
            },
            queued: row.queued,
            reset: row.reset,
            accept_queue: queue(row.accept_queue),
            syn_queue: queue(row.syn_queue),
            cookies_sent: row.cookies_sent,
            refusals: row.refusals.as_ref().map(by_refusal),
            causes: row.refusals.as_ref().map(|all| by_cause(&all.causes)),
            wait_us: row
                .waits
                .percentile(50)
                .zip(row.waits.percentile(99))
                .map(|(p50, p99)| WaitView {
                    p50: p50 / 1000,
                    p99: p99 / 1000,
                    max: row.waits.max_ns() / 1000,
                }),
        }
    }
}
