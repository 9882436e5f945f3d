//! An earlier watch beside this one, as a table for people and as JSON. What is not known is said, and is no zero.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::text::{Clean, Table, time};
use crate::model::{Against, Figures, Late, Pair, Port, Watched};

/// What the earlier watch does not know, and what this one does not.
const UNKNOWN: Pair<&str> = Pair {
    then: "not recorded",
    now: "not known",
};

impl Against {
    pub(super) fn write(&self, to: &mut String) -> fmt::Result {
        let then = &self.then;
        write!(
            to,
            "\nagainst {:.1} s from {} on {}, tier {}",
            then.lasted.as_secs_f64(),
            then.began,
            Clean(&then.host),
            then.tier
        )?;
        if !then.command.is_empty() {
            write!(to, ": {}", Clean(&then.command.join(" ")))?;
        }
        to.push('\n');
        for port in &self.ports {
            to.push_str(&self.table(port).into_text());
        }
        if self.more > 0 {
            writeln!(to, "and {} more ports", self.more)?;
        }
        if let Some(late) = &self.delays {
            to.push_str(&delays(late).into_text());
        }
        for note in &self.notes {
            writeln!(to, "  {}", Clean(note))?;
        }
        Ok(())
    }

    fn table(&self, port: &Port) -> Table {
        let titles = [
            "refused",
            "connected",
            "accepted",
            "longest accept queue",
            "longest SYN queue",
            "waited (p50, p99, max)",
        ];
        let cells =
            |figures: &Figures, lasted, unknown| cells(figures, lasted, unknown).into_iter();
        let figures = &port.figures;
        let mut table = Table::default();
        table.left(
            &format!(":{}", port.port),
            titles.map(str::to_owned).into_iter(),
        );
        table.right("THEN", cells(&figures.then, self.then.lasted, UNKNOWN.then));
        table.right("NOW", cells(&figures.now, self.now.lasted, UNKNOWN.now));
        table
    }
}

fn cells(figures: &Figures, lasted: Duration, unknown: &str) -> [String; 6] {
    // Of what nothing came to, nothing is missing.
    let came = figures.established != Some(0);
    let none = |is_known: bool| if is_known && !came { "-" } else { unknown };
    let counted = |n: Option<u64>| {
        n.map_or_else(
            || unknown.to_owned(),
            |n| format!("{n} ({:.1}/s)", n as f64 / lasted.as_secs_f64()),
        )
    };
    let queue = |queue: Option<(u32, u32)>| {
        queue.map_or_else(
            || none(true).to_owned(),
            |(len, limit)| format!("{len}/{limit}"),
        )
    };
    let waits = figures.waits.map(in_words);
    [
        counted(figures.refusals),
        counted(figures.established),
        counted(figures.accepted),
        queue(figures.accept_queue),
        queue(figures.syn_queue),
        waits.unwrap_or_else(|| none(figures.sees_waits).to_owned()),
    ]
}

/// How much later attempts connected that had been refused.
fn delays(late: &Pair<Late>) -> Table {
    let cell = |late: &Late, unknown: &str| match (late.delays, late.is_known) {
        (Some(delays), _) => in_words(delays),
        (None, true) => "-".to_owned(),
        (None, false) => unknown.to_owned(),
    };
    let mut table = Table::default();
    let title = "late (p50, p99, max)".to_owned();
    table.left("all listeners", [title].into_iter());
    table.right("THEN", [cell(&late.then, UNKNOWN.then)].into_iter());
    table.right("NOW", [cell(&late.now, UNKNOWN.now)].into_iter());
    table
}

fn in_words(times: [Duration; 3]) -> String {
    times.map(|one| time(one.as_nanos() as u64)).join(", ")
}

#[derive(Serialize, JsonSchema)]
pub(super) struct AgainstView<'a> {
    then: WatchedView<'a>,
    now: WatchedView<'a>,
    ports: Vec<PortView>,
    more_ports: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    late_ms: Option<LateView>,
    notes: &'a [String],
}

#[derive(Serialize, JsonSchema)]
struct WatchedView<'a> {
    ts: String,
    duration_s: f64,
    host: &'a str,
    tier: &'a str,
    command: &'a [String],
}

#[derive(Serialize, JsonSchema)]
struct PortView {
    port: u16,
    then: FiguresView,
    now: FiguresView,
}

#[derive(Serialize, JsonSchema)]
struct FiguresView {
    refusals: Option<u64>,
    refusals_per_s: Option<f64>,
    established: Option<u64>,
    established_per_s: Option<f64>,
    accepted: Option<u64>,
    accepted_per_s: Option<f64>,
    accept_queue_peak: Option<u32>,
    accept_queue_limit: Option<u32>,
    syn_queue_peak: Option<u32>,
    syn_queue_limit: Option<u32>,
    wait_ms: Option<TimesView>,
}

#[derive(Serialize, JsonSchema)]
struct LateView {
    then: Option<TimesView>,
    now: Option<TimesView>,
}

#[derive(Serialize, JsonSchema)]
struct TimesView {
    p50: f64,
    p99: f64,
    max: f64,
}

impl<'a> AgainstView<'a> {
    pub(super) fn of(against: &'a Against) -> Self {
        let (then, now) = (&against.then, &against.now);
        let ports = against.ports.iter().map(|port| PortView {
            port: port.port,
            then: FiguresView::of(&port.figures.then, then.lasted),
            now: FiguresView::of(&port.figures.now, now.lasted),
        });
        Self {
            then: WatchedView::of(then),
            now: WatchedView::of(now),
            ports: ports.collect(),
            more_ports: against.more,
            late_ms: against.delays.map(|late| LateView {
                then: late.then.delays.map(TimesView::of),
                now: late.now.delays.map(TimesView::of),
            }),
            notes: &against.notes,
        }
    }
}

impl<'a> WatchedView<'a> {
    fn of(watched: &'a Watched) -> Self {
        Self {
            ts: watched.began.to_string(),
            duration_s: watched.lasted.as_secs_f64(),
            host: &watched.host,
            tier: watched.tier.name(),
            command: &watched.command,
        }
    }
}

impl FiguresView {
    fn of(figures: &Figures, lasted: Duration) -> Self {
        let rate = |n: Option<u64>| n.map(|n| n as f64 / lasted.as_secs_f64());
        Self {
            refusals: figures.refusals,
            refusals_per_s: rate(figures.refusals),
            established: figures.established,
            established_per_s: rate(figures.established),
            accepted: figures.accepted,
            accepted_per_s: rate(figures.accepted),
            accept_queue_peak: figures.accept_queue.map(|(len, _)| len),
            accept_queue_limit: figures.accept_queue.map(|(_, limit)| limit),
            syn_queue_peak: figures.syn_queue.map(|(len, _)| len),
            syn_queue_limit: figures.syn_queue.map(|(_, limit)| limit),
            wait_ms: figures.waits.map(TimesView::of),
        }
    }
}

impl TimesView {
    fn of(times: [Duration; 3]) -> Self {
        let [p50, p99, max] = times.map(|one| one.as_secs_f64() * 1000.0);
        Self { p50, p99, max }
    }
}
