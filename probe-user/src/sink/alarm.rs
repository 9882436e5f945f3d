//! An incident while it goes on: a few lines for people, and as JSON.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Reporter,
    clients::{TopClientView, top_clients},
    json::{At, Cookie, NetnsView, Whose},
    text::{Clean, holders, place, plural, write_netns},
};
use crate::model::{
    TopClient,
    alarm::{Alarm, Phase, Refusing, Said},
};

pub(super) fn write_text(reporter: &Reporter, alarm: &Alarm, to: &mut String) -> fmt::Result {
    let drops = alarm.drops();
    write!(
        to,
        "{:#}  {:<17} {:<10} #{}: {}{drops} drop{}",
        reporter.clock.at(alarm.mono_ns),
        "incident",
        alarm.phase.name(),
        alarm.id,
        if alarm.at_least { "at least " } else { "" },
        plural(drops as usize),
    )?;
    if alarm.phase != Phase::Begin {
        let more = if alarm.clients_exact {
            ""
        } else {
            "more than "
        };
        write!(
            to,
            " of {more}{} client{} in {:.1} s",
            alarm.clients,
            plural(alarm.clients as usize),
            alarm.last_ns.saturating_sub(alarm.start_ns) as f64 / 1e9,
        )?;
    }
    write!(to, " → {}", alarm.addr)?;
    if alarm.phase == Phase::Begin && !alarm.listeners.is_empty() {
        write!(to, "  {}", of_whom(&alarm.listeners))?;
    }
    if alarm.netns != reporter.own_netns {
        write_netns(alarm.netns, alarm.netns_name.as_deref(), to);
    }
    to.push('\n');
    write_rest(alarm, to)
}

fn write_rest(alarm: &Alarm, to: &mut String) -> fmt::Result {
    if alarm.untold > 0 {
        writeln!(
            to,
            "  {} more incident{} began, and too many go on to tell of them",
            alarm.untold,
            plural(alarm.untold as usize)
        )?;
    }
    if alarm.phase == Phase::Begin {
        return Ok(());
    }
    let causes = alarm.causes.iter();
    let causes: Vec<String> = causes.map(|(cause, n)| format!("{n} {cause}")).collect();
    write!(to, "  ")?;
    if !alarm.listeners.is_empty() {
        write!(to, "{}: ", of_whom(&alarm.listeners))?;
    }
    write!(to, "{}", Clean(&causes.join(", ")))?;
    if let Some((len, limit)) = alarm.accept_queue {
        write!(to, "; accept queue up to {len}/{limit}")?;
    }
    to.push('\n');
    if !alarm.top_clients.is_empty() {
        let most = top_clients(&alarm.top_clients, alarm.drops());
        writeln!(to, "  refused most: {most}")?;
    }
    for said in &alarm.verdicts {
        write_said(said, to)?;
    }
    for doubt in &alarm.doubts {
        writeln!(to, "  cannot tell: {}", Clean(doubt))?;
    }
    Ok(())
}

/// Whose they are.
fn of_whom(listeners: &[Refusing]) -> String {
    let whose = |one: &Refusing| {
        let holders = holders(&one.owner);
        match one.cgroup.as_deref().and_then(place) {
            Some(place) => format!("{holders} {}", Clean(place)),
            None => holders,
        }
    };
    match listeners {
        [] => String::new(),
        [only] => whose(only),
        [first, others @ ..] => format!(
            "{} and {} other listener{}",
            whose(first),
            others.len(),
            plural(others.len())
        ),
    }
}

fn write_said(said: &Said, to: &mut String) -> fmt::Result {
    writeln!(
        to,
        "  {} ({}): {}",
        Clean(&said.id),
        Clean(&said.confidence),
        Clean(&said.says)
    )?;
    for (says, from) in &said.evidence {
        writeln!(to, "    - {}  [{}]", Clean(says), Clean(from))?;
    }
    for (nth, advice) in said.advice.iter().enumerate() {
        writeln!(to, "    {}. {}", nth + 1, Clean(advice))?;
    }
    Ok(())
}

#[derive(Serialize, JsonSchema)]
pub(super) struct AlarmView<'a> {
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
