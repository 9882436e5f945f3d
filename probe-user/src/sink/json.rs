//! JSON lines: the names here are fixed; docs/output.md describes them.
//! A change of meaning raises [`SCHEMA`].

mod event;
mod group;
mod identity;
mod member;
mod observed;
mod refusal;
mod snapshot;

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Serialize, Serializer};

use self::group::{GroupView, group_view};
pub(super) use self::identity::{NetnsView, Whose};
use super::Reporter;
use super::stats::StatsView;
use super::story::{StoryView, TotalsView};
use crate::{
    decode::{Kind, Stage},
    host::diag::ListenerSnapshot,
    loader::Skipped,
    model::{Candidate, Causes, Line, Sampled, SelfTest, Start, Summary, Tick},
};

/// Version of the lines' meaning.
pub(super) const SCHEMA: u32 = 1;

/// A socket cookie as `0x…`.
#[derive(Clone, Copy)]
pub(super) struct Cookie(pub u64);

impl Serialize for Cookie {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

#[derive(Serialize)]
struct Hook<'a> {
    hook: &'a str,
    /// How it is attached, `null` when it is not.
    via: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refusal<'a>>,
}

#[derive(Serialize)]
struct Refusal<'a> {
    via: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct CandidateView<'a> {
    cookie: Cookie,
    addr: SocketAddr,
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
            addr: snapshot.addr,
            accept_queue_len: snapshot.accept_queue_len,
            accept_queue_limit: snapshot.accept_queue_limit,
            drops_delta: candidate.drops_delta,
            uid: snapshot.uid,
            inode: snapshot.inode,
            whose: Whose::of(&candidate.owner, candidate.cgroup.as_deref()),
        }
    }
}

#[derive(Serialize)]
struct RowView<'a> {
    netns: u32,
    counter: &'a str,
    kernel: Option<u64>,
    seen: u64,
    sampled: u64,
    lost: u64,
    unattributed: Option<i64>,
}

#[derive(Serialize)]
struct TallyView<'a> {
    cookie: Cookie,
    netns: u32,
    addr: Option<SocketAddr>,
    #[serde(flatten)]
    whose: Whose<'a>,
    events: BTreeMap<&'a str, u64>,
    causes: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<GroupView>,
}

#[derive(Serialize)]
struct SampledListener {
    cookie: Cookie,
    addr: SocketAddr,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Object<'a> {
    Start {
        schema: u32,
        version: &'a str,
        ts: String,
        host: &'a str,
        boot_id: Option<&'a str>,
        kernel: &'a str,
        tier: &'a str,
        hooks: Vec<Hook<'a>>,
        self_test: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        self_test_skipped: Option<&'a str>,
        namespaces: usize,
        listeners: usize,
        filters: &'a [String],
        absent: &'a [String],
        blind: &'a [&'a str],
    },
    #[serde(rename = "event")]
    Tick {
        ts: String,
        mono_ns: u64,
        kind: &'a str,
        stage: Option<&'a str>,
        client: Option<SocketAddr>,
        local: Option<SocketAddr>,
        #[serde(flatten)]
        netns: NetnsView<'a>,
        count: u64,
        listener: Option<CandidateView<'a>>,
        candidates: Vec<CandidateView<'a>>,
        tier: &'a str,
    },
    Loss {
        ts: String,
        ring_full: u64,
        output_full: u64,
        undecodable: u64,
    },
    Sampled {
        ts: String,
        netns: u32,
        listener: Option<SampledListener>,
        kind: &'a str,
        stage: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<&'a str>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        or: &'a [&'a str],
        count: u64,
        clients: u64,
        clients_exact: bool,
    },
    Stats {
        ts: String,
        #[serde(flatten)]
        stats: StatsView<'a>,
    },
    Story {
        ts: String,
        #[serde(flatten)]
        story: StoryView<'a>,
    },
    Residual {
        ts: String,
        netns: u32,
        counter: &'a str,
        unattributed: i64,
        news: i64,
    },
    Summary {
        ts: String,
        duration_s: f64,
        tier: &'a str,
        events: BTreeMap<&'a str, u64>,
        stages: BTreeMap<String, u64>,
        causes: BTreeMap<String, u64>,
        lost: u64,
        /// Records that a filter kept from the ring; counted like all others.
        filtered: u64,
        loss: LossView,
        skipped: &'a Skipped,
        listeners: Vec<TallyView<'a>>,
        stats: Vec<StatsView<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        stories: Option<TotalsView>,
        reconciliation: Vec<RowView<'a>>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        unattributed_may_be: &'a [&'a str],
        /// What could not be read, and is missing here.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        unread: &'a [String],
        moving: bool,
    },
    Clock {
        ts: String,
        ahead_ns: i64,
    },
    Ended {
        ts: String,
    },
}

#[derive(Serialize)]
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

pub(super) fn write(reporter: &Reporter, mono_ns: u64, line: &Line<'_>, to: &mut String) {
    let at = || reporter.clock.at(mono_ns).to_string();
    let object = match line {
        Line::Start(start) => start_object(at(), start),
        Line::Event(seen) => return event::write(reporter, seen, to),
        Line::Tick(tick) => tick_object(reporter, tick),
        Line::Loss(loss) => Object::Loss {
            ts: at(),
            ring_full: loss.ring_full,
            output_full: loss.output_full,
            undecodable: loss.undecodable,
        },
        Line::Residual(residual) => Object::Residual {
            ts: at(),
            netns: residual.netns,
            counter: residual.counter,
            unattributed: residual.unattributed,
            news: residual.news,
        },
        Line::Sampled(sampled) => sampled_object(at(), sampled),
        Line::Stats(row) => Object::Stats {
            ts: at(),
            stats: StatsView::from(*row),
        },
        Line::Story(story) => Object::Story {
            ts: reporter.clock.at(story.last_ns).to_string(),
            story: StoryView::of(story, reporter.tier.name()),
        },
        Line::Summary(summary) => summary_object(at(), summary),
        Line::Observed(seen) => return observed::write(reporter, seen, line, to),
        Line::Clock(clock) if reporter.is_whole => Object::Clock {
            ts: at(),
            ahead_ns: clock.ahead_ns(),
        },
        Line::Ended if reporter.is_whole => Object::Ended { ts: at() },
        Line::Clock(_) | Line::Ended => return,
    };
    // Strings, numbers and maps with string keys only: nothing in them can fail.
    let text = if reporter.is_whole {
        let item = Item {
            mono_ns,
            what: line,
        };
        serde_json::to_string(&Whole { object, item })
    } else {
        serde_json::to_string(&object)
    };
    if let Ok(text) = text {
        to.push_str(&text);
        to.push('\n');
    }
}

/// A line with all that a recording needs.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    object: Object<'a>,
    item: Item<'a>,
}

#[derive(Serialize)]
struct Item<'a> {
    mono_ns: u64,
    what: &'a Line<'a>,
}

fn start_object<'a>(ts: String, start: &'a Start) -> Object<'a> {
    let (self_test, self_test_skipped) = match &start.self_test {
        SelfTest::Passed { .. } => ("passed", None),
        SelfTest::Skipped(why) => ("skipped", Some(why.as_str())),
    };
    Object::Start {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        ts,
        host: &start.host,
        boot_id: start.boot_id.as_deref(),
        kernel: &start.kernel,
        tier: start.tier.name(),
        hooks: start
            .hooks
            .iter()
            .map(|hook| Hook {
                hook: hook.hook,
                via: hook.tier.and(hook.via()),
                refused: hook
                    .trials
                    .iter()
                    .filter_map(|trial| {
                        Some(Refusal {
                            via: trial.via,
                            why: trial.refused.as_deref()?,
                        })
                    })
                    .collect(),
            })
            .collect(),
        self_test,
        self_test_skipped,
        namespaces: start.namespaces,
        listeners: start.listeners,
        filters: &start.filters,
        absent: &start.absent,
        blind: &start.blind,
    }
}

fn tick_object<'a>(reporter: &'a Reporter, tick: &'a Tick) -> Object<'a> {
    let only = match tick.candidates.as_slice() {
        [only] => Some(only),
        _ => None,
    };
    Object::Tick {
        ts: reporter.clock.at(tick.mono_ns).to_string(),
        mono_ns: tick.mono_ns,
        kind: tick.kind.name(),
        stage: None,
        client: None,
        local: None,
        netns: NetnsView::of(tick.netns, tick.netns_name.as_deref()),
        count: tick.count,
        listener: only.map(CandidateView::from),
        candidates: tick.candidates.iter().map(CandidateView::from).collect(),
        tier: reporter.tier.name(),
    }
}

fn sampled_object<'a>(ts: String, sampled: &'a Sampled) -> Object<'a> {
    let cause = sampled.cause.as_ref();
    Object::Sampled {
        ts,
        netns: sampled.netns,
        listener: sampled.listener.map(|addr| SampledListener {
            cookie: Cookie(sampled.cookie),
            addr,
        }),
        kind: sampled.kind.name(),
        stage: sampled.stage.map(Stage::name),
        cause: cause.map(|cause| &*cause.id),
        or: cause.map_or(&[], |cause| cause.or),
        count: sampled.count,
        clients: sampled.clients,
        clients_exact: sampled.clients_exact,
    }
}

pub(super) fn by_cause(causes: &Causes) -> BTreeMap<String, u64> {
    let named = causes
        .iter()
        .map(|((kind, cause), n)| (format!("{kind}/{cause}"), *n));
    named.collect()
}

pub(super) fn by_kind(
    counts: &BTreeMap<(Kind, Option<Stage>), u64>,
) -> BTreeMap<&'static str, u64> {
    let mut kinds = BTreeMap::new();
    for ((kind, _), n) in counts {
        *kinds.entry(kind.name()).or_default() += n;
    }
    kinds
}

fn summary_object<'a>(ts: String, summary: &'a Summary) -> Object<'a> {
    Object::Summary {
        ts,
        duration_s: summary.duration.as_secs_f64(),
        tier: summary.tier.name(),
        events: by_kind(&summary.counts),
        stages: summary
            .counts
            .iter()
            .filter_map(|((kind, stage), n)| Some((format!("{kind}/{}", (*stage)?.name()), *n)))
            .collect(),
        causes: by_cause(&summary.causes),
        lost: summary.loss.total(),
        filtered: summary.health.filtered,
        loss: LossView {
            ring_full: summary.loss.ring_full,
            output_full: summary.loss.output_full,
            undecodable: summary.loss.undecodable,
            counts_full: summary.health.counts_full,
            sums_full: summary.health.sums_full,
            late: summary.health.late,
            unreadable: summary.health.unreadable,
            stats_full: summary.health.stats_full,
        },
        skipped: &summary.skipped,
        listeners: summary
            .listeners
            .iter()
            .map(|tally| TallyView {
                cookie: Cookie(tally.cookie),
                netns: tally.netns,
                addr: tally.addr,
                whose: Whose::of(&tally.owner, tally.cgroup.as_deref()),
                events: by_kind(&tally.counts),
                causes: by_cause(&tally.causes),
                group: group_view(&summary.groups, tally.cookie),
            })
            .collect(),
        stats: summary.stats.iter().map(StatsView::from).collect(),
        stories: summary.stories.as_ref().map(TotalsView::from),
        reconciliation: summary
            .rows
            .iter()
            .map(|row| RowView {
                netns: row.netns,
                counter: row.counter,
                kernel: row.kernel,
                seen: row.seen,
                sampled: row.sampled,
                lost: row.lost,
                unattributed: row.unattributed,
            })
            .collect(),
        unattributed_may_be: summary.unattributed_may_be(),
        unread: &summary.unread,
        moving: summary.moving,
    }
}
