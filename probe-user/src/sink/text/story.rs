//! The story of an attempt: a line while it is watched, and what became of all in the summary.

use std::fmt::{self, Write as _};

use super::{Clean, plural, time::time, whose, write_netns};
use crate::model::{
    outcome::Outcome,
    story::{Story, Totals},
};

/// `after 1.02 s, try 2`, `by client`, and so on.
fn detail(story: &Story) -> String {
    let tries = story.tries();
    match story.outcome {
        Outcome::ConnectedLate { delay_ns } => format!("after {}, try {tries}", time(delay_ns)),
        Outcome::GaveUp { silent_ns } => format!("silent {}, {tries} tries", time(silent_ns)),
        Outcome::Reset { by } => format!("by {}, try {tries}", by.name()),
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
pub(crate) fn write_totals(totals: &Totals, to: &mut String) -> fmt::Result {
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
    if let Some([p50, p99, max]) = totals.delays_ns().map(|ns| ns.map(time)) {
        writeln!(to, "connected late by {p50} p50, {p99} p99, {max} max")?;
    }
    if totals.let_go > 0 {
        writeln!(
            to,
            "unfinished stories that were let go, because there was no room: {}",
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
