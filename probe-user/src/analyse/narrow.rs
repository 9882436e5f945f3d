//! The part of a summary that is about some listeners: a summary of everything comes in, theirs goes out.

use std::net::SocketAddr;

use crate::{
    filter::Filter,
    model::{Causes, Counts, Line, ListenerStatsRow, ListenerTally, Observed, Start, Summary},
};

/// Their refusals exactly, and of other events (`others`) those that had a line.
pub fn narrowed(
    summary: &Summary,
    takes: impl Fn(u32, SocketAddr) -> bool,
    others: Causes,
) -> Summary {
    let is_theirs = |netns: u32, addr: Option<SocketAddr>| addr.is_some_and(|at| takes(netns, at));
    let tallies = summary.listeners.iter();
    let tallies = tallies.filter(|tally| is_theirs(tally.netns, tally.addr));
    let rows = summary.stats.iter();
    let rows = rows.filter(|row| is_theirs(row.netns, row.addr));
    part(
        summary,
        tallies.cloned().collect(),
        rows.cloned().collect(),
        others,
    )
}

/// The part of these listeners, at which these other things happened.
pub fn part(
    summary: &Summary,
    listeners: Vec<ListenerTally>,
    stats: Vec<ListenerStatsRow>,
    others: Causes,
) -> Summary {
    let mut some = Summary {
        listeners,
        stats,
        counts: Counts::default(),
        causes: others,
        // Whom it happened to is told place by place.
        top_clients: None,
        others: summary.others.clone(),
        stories: summary.stories.clone(),
        groups: summary.groups.clone(),
        skipped: summary.skipped.clone(),
        rows: summary.rows.clone(),
        accounted: summary.accounted.clone(),
        unread: summary.unread.clone(),
        netns_names: summary.netns_names.clone(),
        unseen: summary.unseen.clone(),
        ..*summary
    };
    for ((kind, _), n) in &some.causes {
        *some.counts.entry((*kind, None)).or_default() += n;
    }
    for tally in &some.listeners {
        for (what, n) in &tally.counts {
            *some.counts.entry(*what).or_default() += n;
        }
        for (name, n) in &tally.causes {
            *some.causes.entry(name.clone()).or_default() += n;
        }
    }
    some
}

/// What a recording of everything says beside its counts of what was asked about.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    /// What happened there that is no refusal, as far as lines tell.
    pub others: Causes,
    /// What was left out of the detail and may have been there, or not.
    strays: u64,
}

impl Rest {
    /// To be told of every line that is about it, or may be.
    pub fn line(&mut self, line: &Line<'_>) {
        let (kind, cause, n) = match line {
            Line::Event(seen) => (seen.event.kind, &seen.cause, 1),
            Line::Sampled(sampled) => (sampled.kind, &sampled.cause, sampled.count),
            _ => return,
        };
        if matches!(line, Line::Sampled(sampled) if sampled.listener.is_none()) {
            self.strays += n;
        } else if let (Some(cause), false) = (cause, kind.is_refusal()) {
            let name = (kind, cause.id.clone().into_owned());
            *self.others.entry(name).or_default() += n;
        }
    }

    /// What may have happened there and is not in the part that is about it: of this watch, to this listener, by name.
    pub fn doubts(&self, start: &Start, summary: &Summary, listener: &str) -> Vec<String> {
        let mut doubts = Vec::new();
        let own = format!("listener {listener}");
        if start.filters.iter().any(|words| *words != own) {
            let all = start.filters.join(", ");
            doubts.push(format!("only this was recorded: {all}"));
        }
        if self.strays > 0 {
            doubts.push(format!(
                "{} events were left out of the detail, and whose they were is not recorded",
                self.strays
            ));
        }
        let tallies = summary.listeners.iter();
        let known = tallies.filter(|tally| tally.addr.is_some());
        let known: u64 = known.map(ListenerTally::refusals).sum();
        let unknown = summary.refusals().saturating_sub(known);
        if unknown > 0 {
            doubts.push(format!(
                "the listener of {unknown} refusals is not recorded"
            ));
        }
        doubts
    }
}

/// Whether a line is about what is wanted, or may be.
pub fn takes(filter: &Filter, line: &Line<'_>) -> bool {
    let is_there = |netns, addr| filter.takes_netns(netns) && filter.takes_listener(addr);
    match line {
        Line::Event(seen) => filter.takes(&seen.event),
        Line::Sampled(sampled) => match sampled.listener {
            Some(addr) => is_there(sampled.netns, addr),
            None => filter.takes_netns(sampled.netns),
        },
        Line::Stats(row) => row.addr.is_some_and(|addr| is_there(row.netns, addr)),
        Line::Observed(Observed::Queue(queue)) => is_there(queue.netns, queue.snapshot.addr),
        _ => true,
    }
}
