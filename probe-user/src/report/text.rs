//! Text for people: aligned, short, in the order in which a person asks.
//! Names that others chose (a process's comm, a namespace) are sanitised.

mod group;
mod identity;
mod table;

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    net::SocketAddr,
    time::Duration,
};

use self::group::write_groups;
pub(super) use self::{
    identity::{holders, place, whose, write_netns},
    table::Table,
};
use super::{
    Line, ListenerStatsRow, ListenerTally, Loss, Reporter, Sampled, SelfTest, Start, Summary, Tick,
    stats, story,
};
use crate::{
    cause::Cause,
    correlate::Story,
    decode::{Event, Kind, Stage},
    enrich::{Observation, Snapshot},
    inspect::clock::mono_ns,
    loader::Tier,
    reconcile::Residual,
};

/// Untrusted text without control characters and without the ones that turn the direction of writing.
pub struct Clean<'a>(pub &'a str);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            f.write_char(if c.is_control() || turns { '?' } else { c })?;
        }
        Ok(())
    }
}

pub(super) fn write(reporter: &Reporter, line: &Line<'_>, to: &mut String) {
    // Writing to a String cannot fail.
    let _ = match line {
        Line::Start(start) => write_start(start, to),
        Line::Event(seen) => write_event(reporter, seen, to),
        Line::Tick(tick) => write_tick(reporter, tick, to),
        Line::Loss(loss) => write_loss(loss, to),
        Line::Residual(residual) => write_residual(residual, to),
        Line::Sampled(sampled) => write_sampled(reporter, sampled, to),
        Line::Stats(row) => write_stats(reporter, row, to),
        Line::Story(story) => write_story(reporter, story, to),
        Line::Summary(summary) => write_summary(summary, to),
    };
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

pub(super) const fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

pub(super) fn show(addr: Option<SocketAddr>) -> String {
    addr.map_or_else(|| "?".into(), |addr| addr.to_string())
}

/// The two ends, the client first where it is known.
fn ends(event: &Event) -> (String, &'static str, String) {
    if matches!(
        event.kind,
        Kind::ListenerClosed | Kind::NearLimit | Kind::Eased
    ) {
        return (String::new(), " ", show(event.listener.map(|l| l.addr)));
    }
    match event.client {
        Some(client) if Some(client) == event.local => {
            (client.to_string(), "→", show(event.remote))
        }
        Some(client) => (client.to_string(), "→", show(event.local)),
        None if event.late => ("?".into(), "→", "?".into()),
        None => (show(event.local), "–", show(event.remote)),
    }
}

fn detail(reporter: &Reporter, seen: &Observation) -> String {
    let event = &seen.event;
    match event.kind {
        Kind::Retransmit | Kind::SynackRetransmit => format!("retry {}", event.retransmits.max(1)),
        Kind::ResetSent | Kind::ResetReceived => seen
            .cause
            .as_ref()
            .map(in_words)
            .or_else(|| {
                reporter
                    .reasons
                    .of_reset(&event.evidence)
                    .map(str::to_owned)
            })
            .or_else(|| match &seen.snapshot {
                Ok(Snapshot::Connection(c)) => Some(c.state.to_owned()),
                _ => None,
            })
            .unwrap_or_default(),
        _ if event.late => "found late".into(),
        Kind::Refused => refusal(seen),
        Kind::ListenerClosed => format!(
            "{} queued{}",
            event.listener.map_or(0, |l| l.accept_queue_len),
            event.closed_by.as_ref().map_or_else(String::new, |task| {
                format!(", by {}[{}]", Clean(&task.comm), task.pid)
            })
        ),
        Kind::NearLimit | Kind::Eased => pressure(seen),
        Kind::Connected => connected(event),
        Kind::PacketDrop | Kind::RequestExpired => {
            seen.cause.as_ref().map_or_else(String::new, in_words)
        }
        _ => event.listener.map_or_else(String::new, |listener| {
            let mut text = format!(
                "queue {}/{}",
                listener.accept_queue_len, listener.accept_queue_limit
            );
            if listener.syn_queue_len > 0 {
                let _ = write!(text, " syn {}", listener.syn_queue_len);
            }
            // The event's name says the rest.
            if let Some(cause) = &seen.cause
                && !matches!(&*cause.id, "accept-queue-full" | "syn-queue-full")
            {
                let _ = write!(text, " {}", in_words(cause));
            }
            text
        }),
    }
}

/// A cause and what else it may have been: `no-route|no-memory`.
fn in_words(cause: &Cause) -> String {
    let mut text = Clean(&cause.id).to_string();
    for or in cause.or {
        let _ = write!(text, "|{or}");
    }
    text
}

/// How long after it was first refused, and how often it was.
fn connected(event: &Event) -> String {
    event.refused.map_or_else(String::new, |refused| {
        let delay_ns = event.mono_ns.saturating_sub(refused.first_ns);
        format!("after {}, try {}", stats::time(delay_ns), refused.times + 1)
    })
}

/// Which queue, and how full it was.
fn pressure(seen: &Observation) -> String {
    let event = &seen.event;
    let queue = seen.cause.as_ref().map_or_else(String::new, in_words);
    let listener = event.listener.as_ref();
    let limit = listener.map_or(0, |l| l.accept_queue_limit);
    match event.episode {
        Some(episode) => format!(
            "{queue} peak {}/{limit} for {:.1} ms",
            episode.peak,
            episode.lasted_ns as f64 / 1e6
        ),
        None if queue == "syn-queue" => {
            format!(
                "{queue} {}/{limit}",
                listener.map_or(0, |l| l.syn_queue_len)
            )
        }
        None => format!(
            "{queue} {}/{limit}",
            listener.map_or(0, |l| l.accept_queue_len)
        ),
    }
}

/// Why nobody listened, with the listener that comes nearest.
fn refusal(seen: &Observation) -> String {
    if let Some(closed) = &seen.refusal.closed {
        let ago = Duration::from_nanos(seen.event.mono_ns.saturating_sub(closed.mono_ns));
        let by = closed.by.as_ref().map_or_else(String::new, |task| {
            format!(" by {}[{}]", Clean(&task.comm), task.pid)
        });
        return format!("closed {:.1} s ago{by}", ago.as_secs_f64());
    }
    let Some(cause) = &seen.cause else {
        return String::new();
    };
    let near: Vec<String> = seen
        .refusal
        .elsewhere
        .iter()
        .map(|near| {
            if near.netns == seen.event.netns {
                near.addr.to_string()
            } else {
                format!("{} in netns {}", near.addr, near.netns)
            }
        })
        .collect();
    match near.as_slice() {
        [] => in_words(cause),
        [one] => format!("{} {one}", in_words(cause)),
        [one, more @ ..] => format!("{} {one} +{}", in_words(cause), more.len()),
    }
}

fn write_event(reporter: &Reporter, seen: &Observation, to: &mut String) -> fmt::Result {
    let event = &seen.event;
    let (from, arrow, target) = ends(event);
    write!(
        to,
        "{:#}  {:<17} {:<10} {from:<21} {arrow} {target:<21}  {:<20} {}",
        reporter.clock.at(event.mono_ns),
        event.kind,
        event.stage.map_or("", Stage::name),
        detail(reporter, seen),
        whose(&seen.owner, seen.cgroup.as_deref()),
    )?;
    if event.netns != reporter.own_netns {
        write_netns(event.netns, seen.netns_name.as_ref(), to)?;
    }
    to.push('\n');
    Ok(())
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
    if tick.candidates.is_empty() {
        to.push_str(" ? (no listener's sk_drops grew: it may be closed by now)");
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
        write_netns(tick.netns, tick.netns_name.as_ref(), to)?;
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
        counter,
        unattributed,
        news,
    } = residual;
    if *news > 0 {
        write!(to, "no hook saw {news} of the kernel's {counter}")?;
    } else {
        write!(to, "the hooks saw {} {counter} more", -news)?;
    }
    writeln!(
        to,
        " in netns {netns}: {unattributed} unattributed since the start"
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

fn write_sampled(reporter: &Reporter, sampled: &Sampled, to: &mut String) -> fmt::Result {
    let at_least = if sampled.clients_exact {
        ""
    } else {
        "more than "
    };
    write!(
        to,
        "{:#}  {:<17} {:<10} and {} more, from {at_least}{} client{}",
        reporter.clock.at(mono_ns()),
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
        write_netns(sampled.netns, None, to)?;
    }
    to.push('\n');
    Ok(())
}

fn write_stats(reporter: &Reporter, row: &ListenerStatsRow, to: &mut String) -> fmt::Result {
    write!(to, "{:#}  ", reporter.clock.at(mono_ns()))?;
    stats::write_line(row, to)
}

fn write_story(reporter: &Reporter, story: &Story, to: &mut String) -> fmt::Result {
    write!(to, "{:#}  ", reporter.clock.at(story.last_ns))?;
    story::write_line(story, reporter.own_netns, to)
}

fn write_summary(summary: &Summary, to: &mut String) -> fmt::Result {
    writeln!(
        to,
        "\n{:.1} s on tier {}: {}",
        summary.duration.as_secs_f64(),
        summary.tier,
        counts_in_words(&summary.counts)
    )?;
    if !summary.listeners.is_empty() {
        write_listeners(&summary.listeners, to)?;
        write_groups(&summary.groups, to)?;
    }
    stats::write_table(&summary.stats, to)?;
    if let Some(totals) = &summary.stories {
        story::write_totals(totals, to)?;
    }
    write_rows(summary, to)?;
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

/// `70 overflow (64 syn, 6 ack), 3 reset-sent`, or that nothing happened.
pub fn counts_in_words(counts: &BTreeMap<(Kind, Option<Stage>), u64>) -> String {
    let kinds = Kind::ALL.into_iter().filter_map(|kind| {
        let of_kind = || {
            counts
                .iter()
                .filter(move |((k, _), n)| *k == kind && **n > 0)
        };
        let total: u64 = of_kind().map(|(_, n)| n).sum();
        let stages: Vec<String> = of_kind()
            .filter_map(|((_, stage), n)| Some(format!("{n} {}", (*stage)?.name())))
            .collect();
        (total > 0).then(|| match stages.as_slice() {
            [] => format!("{total} {kind}"),
            _ => format!("{total} {kind} ({})", stages.join(", ")),
        })
    });
    let words: Vec<String> = kinds.collect();
    if words.is_empty() {
        "nothing happened".into()
    } else {
        words.join(", ")
    }
}

fn write_listeners(listeners: &[ListenerTally], to: &mut String) -> fmt::Result {
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
    Ok(())
}

fn write_tally(tally: &ListenerTally, owner: &str, to: &mut String) -> fmt::Result {
    let name = name_of(tally);
    writeln!(to, "{name:<24} {owner} {}", counts_in_words(&tally.counts))
}

/// The address of a listener, or what else is known of it.
pub fn name_of(tally: &ListenerTally) -> String {
    tally
        .addr
        .map_or_else(|| format!("cookie {:#x}", tally.cookie), |a| a.to_string())
}

pub(super) fn write_rows(summary: &Summary, to: &mut String) -> fmt::Result {
    writeln!(
        to,
        "\n{:<26} {:>10} {:>10} {:>10} {:>10} {:>13}  NETNS",
        "COUNTER", "KERNEL", "SEEN", "SAMPLED", "LOST", "UNATTRIBUTED"
    )?;
    for row in &summary.rows {
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
            row.netns
        )?;
    }
    if let Some(note) = unattributed_note(summary) {
        writeln!(to, "{note}")?;
    }
    Ok(())
}

/// What a number other than 0, or none, in the last column means.
fn unattributed_note(summary: &Summary) -> Option<String> {
    let may_be = summary.unattributed_may_be();
    if !may_be.is_empty() {
        return Some(format!(
            "unattributed: counted by the kernel, seen by no hook; by design that can be: {}",
            may_be.join("; ")
        ));
    }
    if summary
        .rows
        .iter()
        .any(|row| row.unattributed < Some(0) && row.unattributed.is_some())
    {
        return Some(
            "less than 0: seen by the hooks, and not yet counted when the counters were read"
                .into(),
        );
    }
    summary
        .rows
        .iter()
        .any(|row| row.kernel.is_none())
        .then(|| "?: the namespace ended, or could not be read".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_cannot_steer_a_terminal() {
        let clean = Clean("a\u{1b}[31m\n\u{9b}b\u{202e}c").to_string();
        assert_eq!(clean, "a?[31m??b?c");
    }

    #[test]
    fn big_numbers_are_grouped() {
        assert_eq!(
            [7, 999, 1000, 41_233, 1_000_000].map(grouped),
            ["7", "999", "1,000", "41,233", "1,000,000"]
        );
    }

    #[test]
    fn counts_read_like_a_sentence() {
        let counts = BTreeMap::from([
            ((Kind::Overflow, Some(Stage::Syn)), 64),
            ((Kind::Overflow, Some(Stage::Ack)), 6),
            ((Kind::ResetSent, None), 3),
        ]);
        assert_eq!(
            counts_in_words(&counts),
            "70 overflow (64 syn, 6 ack), 3 reset-sent"
        );
        assert_eq!(counts_in_words(&BTreeMap::new()), "nothing happened");
    }
}
