//! The story of an attempt and what became of all, as text and as JSON.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    net::SocketAddr,
};

use serde::Serialize;

use super::json::{Cookie, NetnsView, Whose};
use super::stats::time;
use super::text::{Clean, plural, whose, write_netns};
use crate::analyse::correlate::{End, Outcome, Story, Totals};

#[derive(Serialize)]
struct ListenerView {
    cookie: Cookie,
    addr: SocketAddr,
}

#[derive(Serialize)]
struct RefusalsView {
    syn: u32,
    ack: u32,
    cookie_ack: u32,
}

#[derive(Serialize)]
pub(super) struct StoryView<'a> {
    mono_ns: u64,
    outcome: &'a str,
    client: SocketAddr,
    local: SocketAddr,
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
    tier: &'a str,
}

/// Nanoseconds in a unit, to the microsecond.
fn in_unit(ns: u64, unit_us: f64) -> f64 {
    (ns / 1000) as f64 / unit_us
}

/// Segments that tried to connect, with the one that made it.
fn tries(story: &Story) -> u32 {
    story.times() + u32::from(matches!(story.outcome, Outcome::ConnectedLate { .. }))
}

const fn end(end: End) -> &'static str {
    match end {
        End::Client => "client",
        End::Server => "server",
    }
}

impl<'a> StoryView<'a> {
    pub(super) fn of(story: &'a Story, tier: &'a str) -> Self {
        let mut view = Self {
            mono_ns: story.last_ns,
            outcome: story.outcome.name(),
            client: story.attempt.client,
            local: story.attempt.local,
            netns: NetnsView::of(story.attempt.netns, story.whose.netns_name.as_deref()),
            listener: story.listener.map(|(cookie, addr)| ListenerView {
                cookie: Cookie(cookie),
                addr,
            }),
            began_mono_ns: story.first_ns,
            delay_ms: None,
            silent_s: None,
            by: None,
            why: None,
            tries: tries(story),
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
            Outcome::Reset { by } => view.by = Some(end(by)),
            Outcome::Unknown { why } => view.why = Some(why.name()),
            Outcome::Ghost | Outcome::StillTrying => {}
        }
        view
    }
}

#[derive(Serialize)]
struct DelayView {
    p50: f64,
    p99: f64,
    max: f64,
}

#[derive(Serialize)]
pub(super) struct TotalsView {
    outcomes: BTreeMap<&'static str, u64>,
    delay_ms: Option<DelayView>,
    let_go: u64,
    sampled: u64,
    lost: u64,
}

/// Nanoseconds at the middle, near the end and at the end of all delays.
fn delays(totals: &Totals) -> Option<[u64; 3]> {
    let delays = &totals.delays;
    Some([
        delays.percentile(50)?,
        delays.percentile(99)?,
        delays.max_ns(),
    ])
}

impl From<&Totals> for TotalsView {
    fn from(totals: &Totals) -> Self {
        let of = |name| (name, totals.outcomes.get(name).copied().unwrap_or(0));
        Self {
            outcomes: Outcome::NAMES.into_iter().map(of).collect(),
            delay_ms: delays(totals).map(|ns| {
                let [p50, p99, max] = ns.map(|ns| in_unit(ns, 1e3));
                DelayView { p50, p99, max }
            }),
            let_go: totals.let_go,
            sampled: totals.sampled,
            lost: totals.lost,
        }
    }
}

/// `after 1.02 s, try 2`, `by client`, and so on.
fn detail(story: &Story) -> String {
    let tries = tries(story);
    match story.outcome {
        Outcome::ConnectedLate { delay_ns } => format!("after {}, try {tries}", time(delay_ns)),
        Outcome::GaveUp { silent_ns } => format!("silent {}, {tries} tries", time(silent_ns)),
        Outcome::Reset { by } => format!("by {}, try {tries}", end(by)),
        Outcome::Unknown { why } => format!("{}, try {tries}", why.name()),
        Outcome::Ghost | Outcome::StillTrying => format!("try {tries}"),
    }
}

/// A line while it is watched, after its time.
pub(super) fn write_line(story: &Story, own_netns: u32, to: &mut String) -> fmt::Result {
    write!(
        to,
        "{:<17} {:<10} {:<21} → {:<21}  {:<20} {}",
        story.outcome.name(),
        "story",
        story.attempt.client.to_string(),
        story.attempt.local.to_string(),
        detail(story),
        whose(&story.whose.owner, story.whose.cgroup.as_deref()),
    )?;
    let mut separator = "  after";
    for (cause, n) in &story.causes {
        write!(to, "{separator} {n} {}", Clean(cause))?;
        separator = ",";
    }
    if story.attempt.netns != own_netns {
        write_netns(story.attempt.netns, story.whose.netns_name.as_deref(), to);
    }
    to.push('\n');
    Ok(())
}

/// The part of the summary.
pub(super) fn write_totals(totals: &Totals, to: &mut String) -> fmt::Result {
    let named = Outcome::NAMES.into_iter().filter_map(|name| {
        let n = totals.outcomes.get(name)?;
        Some(format!("{n} {name}"))
    });
    let named: Vec<String> = named.collect();
    let stories = totals.stories();
    write!(
        to,
        "\n{stories} attempt{} refused",
        plural(stories as usize)
    )?;
    if !named.is_empty() {
        write!(to, ": {}", named.join(", "))?;
    }
    to.push('\n');
    if let Some([p50, p99, max]) = delays(totals).map(|ns| ns.map(time)) {
        writeln!(to, "connected late by {p50} p50, {p99} p99, {max} max")?;
    }
    if totals.let_go > 0 {
        writeln!(
            to,
            "{} unfinished stories were let go for want of room",
            totals.let_go
        )?;
    }
    if totals.sampled + totals.lost > 0 {
        writeln!(
            to,
            "stories do not know of {} records left out and {} lost: some attempts have none",
            totals.sampled, totals.lost
        )?;
    }
    Ok(())
}
