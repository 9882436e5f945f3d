//! JSON lines: the names here are fixed; docs/output.md describes them.
//! A change of meaning raises [`SCHEMA`].

mod address;
mod alarm;
mod counts;
mod escaped;
mod event;
mod event_schema;
mod group;
mod head;
mod identity;
mod member;
mod names;
mod observed;
mod refusal;
mod snapshot;
mod start;
mod stats;
mod story;
mod summary;
mod tick;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

#[cfg(test)]
pub(super) use self::observed::tests::every_kind as every_look;
pub(super) use self::{
    address::{At, AtOrNull},
    counts::{by_cause, by_kind},
    escaped::{append_json, append_line},
    event::Last,
    event_schema::EventLine,
    head::Head,
    identity::{NetnsView, Whose, name_and_pid},
    story::TotalsView,
};
use self::{
    alarm::AlarmView, start::StartView, stats::StatsView, story::StoryView, summary::SummaryView,
    tick::TickView,
};
use super::Reporter;
use crate::model::{Line, Residual, Sampled, kind::Stage};

/// Version of the lines' meaning.
pub(super) const SCHEMA: u32 = 2;

/// A socket cookie as `0x…`.
#[derive(Clone, Copy)]
pub(super) struct Cookie(pub u64);

impl Serialize for Cookie {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

impl JsonSchema for Cookie {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cookie".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^0x[0-9a-f]{1,16}$"})
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct SampledListener {
    cookie: Cookie,
    #[serde(flatten)]
    at: At,
}

#[derive(Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Object<'a> {
    Start(StartView<'a>),
    #[serde(rename = "event")]
    Tick(TickView<'a>),
    Loss {
        ts: String,
        ring_full: u64,
        output_full: u64,
        undecodable: u64,
    },
    Sampled {
        ts: String,
        #[serde(flatten)]
        netns: NetnsView<'a>,
        listener: Option<SampledListener>,
        #[schemars(extend("enum" = names::kinds()))]
        kind: &'a str,
        #[schemars(extend("enum" = names::stages()))]
        stage: Option<&'a str>,
        cause: Option<&'a str>,
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
        #[serde(flatten)]
        netns: NetnsView<'a>,
        counter: &'a str,
        unattributed: i64,
        news: i64,
    },
    Incident(AlarmView<'a>),
    Heartbeat {
        ts: String,
        idle_s: u64,
    },
    Summary(SummaryView<'a>),
    /// In recordings only.
    Clock {
        ts: String,
        ahead_ns: i64,
    },
    /// In recordings only.
    Ended {
        ts: String,
    },
}

pub(super) fn write(reporter: &mut Reporter, mono_ns: u64, line: &Line<'_>, to: &mut String) {
    if let Line::Event(seen) = line {
        return event::write(reporter, seen, to);
    }
    let reporter = &*reporter;
    let at = || reporter.clock.at(mono_ns).to_string();
    let object = match line {
        Line::Start(start) => Object::Start(StartView::of(reporter, at(), start)),
        Line::Tick(tick) => Object::Tick(TickView::of(reporter, tick)),
        Line::Loss(loss) => Object::Loss {
            ts: at(),
            ring_full: loss.ring_full,
            output_full: loss.output_full,
            undecodable: loss.undecodable,
        },
        Line::Residual(residual) => residual_object(at(), residual),
        Line::Sampled(sampled) => sampled_object(at(), sampled),
        Line::Stats(row) => Object::Stats {
            ts: at(),
            stats: StatsView::from(*row),
        },
        Line::Story(story) => Object::Story {
            ts: reporter.clock.at(story.last_ns).to_string(),
            story: StoryView::of(story, reporter.tier.name()),
        },
        Line::Incident(alarm) => Object::Incident(AlarmView::of(reporter, alarm)),
        Line::Heartbeat(beat) => Object::Heartbeat {
            ts: at(),
            idle_s: beat.idle_s,
        },
        Line::Summary(summary) => Object::Summary(SummaryView::of(reporter, at(), summary)),
        Line::Observed(seen) => return observed::write(reporter, seen, line, to),
        Line::Clock(clock) if reporter.is_whole => Object::Clock {
            ts: at(),
            ahead_ns: clock.ahead_ns(),
        },
        Line::Ended if reporter.is_whole => Object::Ended { ts: at() },
        Line::Event(_) | Line::Clock(_) | Line::Ended => return,
    };
    if reporter.is_whole {
        let item = Item {
            mono_ns,
            what: line,
        };
        append_line(to, &Whole { object, item });
    } else {
        append_line(to, &object);
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

fn residual_object(ts: String, residual: &Residual) -> Object<'_> {
    Object::Residual {
        ts,
        netns: NetnsView::of(residual.netns, residual.netns_name.as_deref()),
        counter: residual.counter,
        unattributed: residual.unattributed,
        news: residual.news,
    }
}

fn sampled_object(ts: String, sampled: &Sampled) -> Object<'_> {
    let cause = sampled.cause.as_ref();
    Object::Sampled {
        ts,
        netns: NetnsView::of(sampled.netns, sampled.netns_name.as_deref()),
        listener: sampled.listener.map(|addr| SampledListener {
            cookie: Cookie(sampled.cookie),
            at: addr.into(),
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
