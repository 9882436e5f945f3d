//! The verdict on a listener: did it take everybody who came?

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Reporter,
    against::AgainstView,
    json::{Head, append_line},
    text::{Clean, write_rows, write_table},
};
use crate::model::{OF_REFUSALS, Row, Summary, Verdict, Verified, kind::Kind};

pub(super) fn write_text(reporter: &Reporter, mono_ns: u64, verified: &Verified, to: &mut String) {
    // Writing to a String cannot fail.
    let _ = write_all(verified, to);
    if let Some(against) = &verified.against {
        let _ = against.write(to);
    }
    to.push('\n');
    let _ = reporter.ticket(mono_ns).write(to);
}

fn write_all(verified: &Verified, to: &mut String) -> fmt::Result {
    let (first, more) = match verified.reasons.split_first() {
        Some((first, more)) => (first.as_str(), more),
        None => ("", [].as_slice()),
    };
    writeln!(
        to,
        "{}: {} ({}, {:.1} s)",
        verified.verdict.in_words(),
        Clean(first),
        Clean(&verified.listener),
        verified.summary.duration.as_secs_f64()
    )?;
    for line in more.iter().chain(&verified.notes) {
        writeln!(to, "  {}", Clean(line))?;
    }
    write_table(&verified.summary.stats, to)?;
    match verified.verdict {
        Verdict::Held => {
            let rows = verified.summary.rows.iter();
            let theirs = rows.filter(|row| verified.namespaces.contains(&row.netns));
            let moved = theirs.clone().any(|row| row.kernel != Some(0));
            writeln!(
                to,
                "\nin its namespace the kernel counted {}{}",
                counted(theirs),
                if moved { ", all of others" } else { "" }
            )
        }
        Verdict::NotProved => Ok(()),
        Verdict::NotHeld | Verdict::CannotTell => write_rows(&verified.summary, to),
    }
}

/// What the kernel counted of refusals in these rows.
pub(super) fn counted<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> String {
    let counters = OF_REFUSALS.map(|counter| {
        let of_counter = rows.clone().filter(|row| row.counter == counter);
        let sum: Option<u64> = of_counter.map(|row| row.kernel).sum();
        format!(
            "{} {counter}",
            sum.map_or_else(|| "?".into(), |n| n.to_string())
        )
    });
    counters.join(", ")
}

/// What was dropped before a listener, by reason; `None` where that cannot be seen.
pub(super) fn dropped_before(summary: &Summary) -> Option<BTreeMap<&str, u64>> {
    let is_seen = !summary.unseen.contains(&Kind::PacketDrop);
    is_seen.then(|| summary.dropped_before().collect())
}

#[derive(Serialize, JsonSchema)]
pub(super) struct VerifiedView<'a> {
    #[serde(rename = "type")]
    #[schemars(extend("const" = "verify"))]
    kind: &'static str,
    #[serde(flatten)]
    head: Head<'a>,
    ts: String,
    listener: &'a str,
    verdict: &'static str,
    reasons: &'a [String],
    notes: &'a [String],
    duration_s: f64,
    asked_s: f64,
    tier: &'a str,
    refusals: u64,
    /// By drop reason; `null` where it cannot be seen.
    dropped_before: Option<BTreeMap<&'a str, u64>>,
    established: u64,
    accepted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<AgainstView<'a>>,
}

pub(super) fn write_json(reporter: &Reporter, mono_ns: u64, verified: &Verified, to: &mut String) {
    let view = VerifiedView {
        kind: "verify",
        head: Head::of(&reporter.origin),
        ts: reporter.clock.at(mono_ns).to_string(),
        listener: &verified.listener,
        verdict: verified.verdict.name(),
        reasons: &verified.reasons,
        notes: &verified.notes,
        duration_s: verified.summary.duration.as_secs_f64(),
        asked_s: verified.asked.as_secs_f64(),
        tier: verified.summary.tier.name(),
        refusals: verified.summary.refusals(),
        dropped_before: dropped_before(&verified.summary),
        established: verified.established,
        accepted: verified.accepted,
        against: verified.against.as_ref().map(AgainstView::of),
    };
    append_line(to, &view);
}
