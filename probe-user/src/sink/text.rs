//! Text for people: aligned, short, in the order in which a person asks.
//! Names that others chose (a process's comm, a namespace) are sanitised.

mod alarm;
mod event;
mod group;
mod identity;
mod stats;
mod story;
mod table;
mod time;
mod top;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    net::SocketAddr,
    sync::Arc,
};

pub(super) use self::{
    event::Last,
    identity::{holders, name_netns, place, whose, write_netns},
    stats::write_table,
    story::write_totals,
    table::Table,
    time::time,
};
use self::{event::write_event, group::write_groups};
use super::{Reporter, aside, clients::top_clients};
use crate::model::{
    Line, ListenerStatsRow, ListenerTally, Loss, Residual, Sampled, SelfTest, Start, Summary, Tick,
    counts_in_words,
    harmless::{self, is_harmful},
    kind::Stage,
    name_of,
    netns_name::NetnsName,
    rows::Row,
    sandbox::Extent,
    story::Story,
    tier::Tier,
};

/// Untrusted text without what steers a terminal, turns the direction of writing, ends a line or hides.
pub(super) struct Clean<'a>(pub &'a str);

impl Clean<'_> {
    fn write(&self, to: &mut String) {
        // Without an early end: many bytes are looked at in one instruction.
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~');
        if self.0.bytes().fold(true, |all, byte| all & is_plain(byte)) {
            to.push_str(self.0);
        } else {
            to.extend(self.chars());
        }
    }

    fn chars(&self) -> impl Iterator<Item = char> {
        self.0.chars().map(|c| if is_harmful(c) { '?' } else { c })
    }
}

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars().try_for_each(|c| f.write_char(c))
    }
}

/// Takes out of whole lines, from there on, what steers or hides: whatever was forgotten by whoever wrote them.
pub(super) fn clean_since(to: &mut String, since: usize) {
    let written = to.get(since..).unwrap_or_default();
    if let Cow::Owned(clean) = harmless::lines(written) {
        to.truncate(since);
        to.push_str(&clean);
    }
}

pub(super) fn write(reporter: &mut Reporter, mono_ns: u64, line: &Line<'_>, to: &mut String) {
    let since = to.len();
    // Writing to a String cannot fail.
    let _ = match line {
        Line::Start(start) => write_start(start, to),
        Line::Event(seen) => write_event(reporter, seen, to),
        Line::Tick(tick) => write_tick(reporter, tick, to),
        Line::Loss(loss) => write_loss(loss, to),
        Line::Residual(residual) => write_residual(residual, to),
        Line::Sampled(sampled) => write_sampled(reporter, mono_ns, sampled, to),
        Line::Stats(row) => write_stats(reporter, mono_ns, row, to),
        Line::Story(story) => write_story(reporter, story, to),
        Line::Incident(alarm) => alarm::write_text(reporter, alarm, to),
        Line::Summary(summary) => write_summary(summary, reporter.top, to),
        // Nobody who reads wants to be told each minute that there is nothing to read.
        Line::Heartbeat(_) | Line::Observed(_) | Line::Clock(_) | Line::Ended => Ok(()),
    };
    // Each name in the line of an event was looked at when it was written.
    if !matches!(line, Line::Event(_)) {
        clean_since(to, since);
    }
}

/// Says what is watched where lines are not printed.
pub fn say_ready(start: &Start) {
    aside(format_args!(
        "watching {} listener{} in {} namespace{}, tier {}",
        start.listeners,
        plural(start.listeners),
        start.namespaces,
        plural(start.namespaces),
        start.tier
    ));
}

fn write_start(start: &Start, to: &mut String) -> fmt::Result {
    write!(
        to,
        "watching {} listener{} in {} namespace{} on Linux {}, tier {}",
        start.listeners,
        plural(start.listeners),
        start.namespaces,
        plural(start.namespaces),
        Clean(&start.kernel),
        start.tier
    )?;
    match &start.self_test {
        SelfTest::Passed { .. } => to.push_str(", self-test passed"),
        SelfTest::Skipped(why) if start.tier != Tier::Counters => {
            write!(to, ", self-test skipped: {}", Clean(why))?;
        }
        SelfTest::Skipped(_) => {}
    }
    if let Some(sandbox) = &start.sandbox {
        to.push_str(match sandbox.extent {
            Extent::All => ", sandboxed",
            Extent::Part => ", sandboxed in part",
            Extent::Off => ", not sandboxed",
        });
        if let Some(lacks) = &sandbox.lacks {
            write!(to, ": {}", Clean(lacks))?;
        }
    }
    to.push('\n');
    if !start.blind.is_empty() {
        writeln!(to, "not visible here: {}", start.blind.join(", "))?;
    }
    for filter in &start.filters {
        writeln!(to, "only {}", Clean(filter))?;
    }
    let mut attached: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for hook in &start.hooks {
        if let (Some(_), Some(via)) = (hook.tier, hook.via()) {
            attached.entry(via).or_default().push(hook.hook);
        }
    }
    for (via, hooks) in attached {
        writeln!(to, "  {via}: {}", hooks.join(", "))?;
    }
    if start.tier == Tier::Counters {
        to.push_str(
            "  no BPF: counters and sock_diag only; no clients, and the listener is the one whose sk_drops grew\n",
        );
    }
    writeln!(
        to,
        "{:<15}  {:<17} {:<10} {:<21}   {:<21}  {:<20} OWNER",
        "TIME (UTC)", "EVENT", "STAGE", "CLIENT", "TO", "DETAIL"
    )
}

/// The end of a noun of which there are so many.
pub const fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

pub(super) fn show(addr: Option<SocketAddr>) -> String {
    addr.map_or_else(|| "?".into(), |addr| addr.to_string())
}

fn write_tick(reporter: &Reporter, tick: &Tick, to: &mut String) -> fmt::Result {
    write!(
        to,
        "{:#}  {:<17} {:<10} {:<21} →",
        reporter.clock.at(tick.mono_ns),
        tick.kind,
        format!("×{}", tick.count),
        "?",
    )?;
    match &tick.no_candidates {
        Some(why) => write!(to, " ? (cannot tell: {})", Clean(why))?,
        None if tick.candidates.is_empty() => {
            to.push_str(" ? (no listener's sk_drops grew: it may be closed by now)");
        }
        None => {}
    }
    for (index, candidate) in tick.candidates.iter().enumerate() {
        let listener = &candidate.snapshot;
        write!(
            to,
            "{} {:<21}  {:<20} {}",
            if index > 0 { " or" } else { "" },
            listener.addr.to_string(),
            format!(
                "queue {}/{}",
                listener.accept_queue_len, listener.accept_queue_limit
            ),
            whose(&candidate.owner, candidate.cgroup.as_deref()),
        )?;
    }
    if tick.netns != reporter.own_netns {
        write_netns(tick.netns, tick.netns_name.as_deref(), to);
    }
    to.push('\n');
    Ok(())
}

fn write_loss(loss: &Loss, to: &mut String) -> fmt::Result {
    writeln!(
        to,
        "detail of {} events lost (ring full {}, output full {}, undecodable {}); they are counted",
        loss.total(),
        loss.ring_full,
        loss.output_full,
        loss.undecodable
    )
}

fn write_residual(residual: &Residual, to: &mut String) -> fmt::Result {
    let Residual {
        netns,
        netns_name,
        counter,
        unattributed,
        news,
    } = residual;
    if *news > 0 {
        write!(to, "no hook saw {news} of the kernel's {counter}")?;
    } else {
        write!(to, "the hooks saw {} {counter} more", -news)?;
    }
    let called = match netns_name.as_deref() {
        Some(NetnsName::Given(name)) => Clean(name).to_string(),
        _ => netns.to_string(),
    };
    writeln!(
        to,
        " in netns {called}: {unattributed} unattributed since the start"
    )
}

/// `41233` as `41,233`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn write_sampled(
    reporter: &Reporter,
    mono_ns: u64,
    sampled: &Sampled,
    to: &mut String,
) -> fmt::Result {
    let at_least = if sampled.clients_exact {
        ""
    } else {
        "more than "
    };
    write!(
        to,
        "{:#}  {:<17} {:<10} and {} more, from {at_least}{} client{}",
        reporter.clock.at(mono_ns),
        sampled.kind,
        sampled.stage.map_or("", Stage::name),
        grouped(sampled.count),
        grouped(sampled.clients),
        plural(sampled.clients as usize),
    )?;
    if let Some(listener) = sampled.listener {
        write!(to, " → {listener}")?;
    }
    if sampled.netns != reporter.own_netns {
        write_netns(sampled.netns, sampled.netns_name.as_deref(), to);
    }
    to.push('\n');
    Ok(())
}

fn write_stats(
    reporter: &Reporter,
    mono_ns: u64,
    row: &ListenerStatsRow,
    to: &mut String,
) -> fmt::Result {
    write!(to, "{:#}  ", reporter.clock.at(mono_ns))?;
    stats::write_line(row, to)
}

fn write_story(reporter: &Reporter, story: &Story, to: &mut String) -> fmt::Result {
    write!(to, "{:#}  ", reporter.clock.at(story.last_ns))?;
    story::write_line(story, reporter.own_netns, to)
}

/// What a watch comes to, where no lines are printed.
pub(super) fn summary(summary: &Summary, top: usize) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_summary(summary, top, &mut text);
    clean_since(&mut text, 0);
    text
}

fn write_summary(summary: &Summary, most: usize, to: &mut String) -> fmt::Result {
    writeln!(
        to,
        "\n{}{:.1} s on tier {}: {}",
        if summary.interim { "so far, " } else { "" },
        summary.duration.as_secs_f64(),
        summary.tier,
        happened(summary)
    )?;
    if !summary.listeners.is_empty() {
        write_listeners(&summary.listeners, most, to)?;
        write_groups(&summary.groups, to)?;
    }
    top::write_others(&summary.others, to)?;
    if let Some(clients @ [_, ..]) = summary.top_clients.as_deref() {
        let clients = top_clients(clients, summary.harm());
        writeln!(to, "\nrefused most: {clients}")?;
    }
    top::write_stats(&summary.stats, most, to)?;
    if let Some(totals) = &summary.stories {
        story::write_totals(totals, to)?;
    }
    write_rows(summary, to)?;
    for sentence in &summary.unread {
        writeln!(to, "not known: {}", Clean(sentence))?;
    }
    if summary.moving {
        to.push_str("the counters were still moving: rows may be off by what happened meanwhile\n");
    }
    if summary.loss.total() > 0 {
        write_loss(&summary.loss, to)?;
    }
    let health = summary.health;
    if health.unreadable + health.counts_full + health.sums_full + health.stats_full > 0 {
        writeln!(
            to,
            "the kernel side could not read {} counters and had no room for {} counts, {} sums and {} figures of listeners",
            health.unreadable, health.counts_full, health.sums_full, health.stats_full
        )?;
    }
    if !summary.skipped.is_empty() {
        let hooks = summary
            .skipped
            .iter()
            .map(|(hook, n)| format!("{hook} {n}"));
        let hooks: Vec<String> = hooks.collect();
        writeln!(
            to,
            "runs of hooks that the kernel skipped, each of which may have been an event: {}",
            hooks.join(", ")
        )?;
    }
    Ok(())
}

/// What happened, where that is known.
fn happened(summary: &Summary) -> String {
    if summary.counts.values().all(|n| *n == 0) && !summary.unread.is_empty() {
        "what happened is not known: not everything could be read".into()
    } else {
        counts_in_words(&summary.counts)
    }
}

fn write_listeners(all: &[ListenerTally], most: usize, to: &mut String) -> fmt::Result {
    // Those that refused most come first.
    let (listeners, rest) = all.split_at(most.min(all.len()));
    let owners: Vec<String> = listeners
        .iter()
        .map(|tally| whose(&tally.owner, tally.cgroup.as_deref()))
        .collect();
    let longest = owners.iter().map(|owner| owner.chars().count()).max();
    let width = longest.unwrap_or(0).max(24);
    writeln!(to, "\n{:<24} {:<width$} EVENTS", "LISTENER", "OWNER")?;
    for (tally, owner) in listeners.iter().zip(&owners) {
        write_tally(tally, &format!("{owner:<width$}"), to)?;
    }
    top::write_rest(rest, to)
}

fn write_tally(tally: &ListenerTally, owner: &str, to: &mut String) -> fmt::Result {
    let name = name_of(tally);
    writeln!(to, "{name:<24} {owner} {}", counts_in_words(&tally.counts))
}

pub(super) fn write_rows(summary: &Summary, to: &mut String) -> fmt::Result {
    writeln!(
        to,
        "\n{:<26} {:>10} {:>10} {:>10} {:>10} {:>13}  NETNS",
        "COUNTER", "KERNEL", "SEEN", "SAMPLED", "LOST", "UNATTRIBUTED"
    )?;
    for (row, ended) in top::rows(&summary.rows) {
        let known = |n: Option<String>| n.unwrap_or_else(|| "?".into());
        writeln!(
            to,
            "{:<26} {:>10} {:>10} {:>10} {:>10} {:>13}  {}",
            row.counter,
            known(row.kernel.map(|n| n.to_string())),
            row.seen,
            row.sampled,
            row.lost,
            known(row.unattributed.map(|n| n.to_string())),
            match ended {
                0 => netns_called(row.netns, summary.netns_names.get(&row.netns)),
                _ => "all that ended".into(),
            }
        )?;
    }
    for note in unattributed_notes(summary) {
        writeln!(to, "{note}")?;
    }
    Ok(())
}

/// By the name it has for people, and its number.
fn netns_called(netns: u32, name: Option<&Arc<NetnsName>>) -> String {
    match name.and_then(|name| name.given()) {
        Some(name) => format!("{netns} {}", Clean(name)),
        None => netns.to_string(),
    }
}

/// What a number other than 0, or none, in the last column means.
fn unattributed_notes(summary: &Summary) -> Vec<String> {
    let mut notes = Vec::new();
    let may_be = summary.unattributed_may_be();
    if !may_be.is_empty() {
        notes.push(format!(
            "unattributed: counted by the kernel, seen by no hook; by design that can be: {}",
            may_be.join("; ")
        ));
    }
    let is_less = |row: &Row| row.unattributed.is_some_and(|n| n < 0);
    if summary.rows.iter().any(is_less) {
        notes.push(
            "less than 0: seen by the hooks, and not yet counted when the counters were read"
                .into(),
        );
    }
    let unknown = summary.rows.iter().filter(|row| row.kernel.is_none());
    let why: BTreeSet<String> = unknown
        .map(|row| match row.no_kernel {
            Some(why) => why.to_string(),
            None => "the namespace ended, or could not be read".into(),
        })
        .collect();
    notes.extend(why.into_iter().map(|why| format!("?: {why}")));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_cannot_steer_a_terminal() {
        let named = "a\u{1b}[31m\n\u{9b}b\u{202e}\u{61c}\u{2028}\u{200b}c";
        let clean = Clean(named).to_string();
        assert_eq!(clean, "a?[31m??b????c");
        let mut written = String::new();
        Clean(named).write(&mut written);
        assert_eq!(written, clean);
    }

    #[test]
    fn big_numbers_are_grouped() {
        assert_eq!(
            [7, 999, 1000, 41_233, 1_000_000].map(grouped),
            ["7", "999", "1,000", "41,233", "1,000,000"]
        );
    }
}
