//! The part of a summary that is about some listeners: a summary of everything comes in, theirs goes out.

use std::net::SocketAddr;

use crate::model::{Causes, Summary};

/// Their refusals exactly, and of other events (`others`) those that had a line.
pub fn narrowed(
    summary: &Summary,
    takes: impl Fn(u32, SocketAddr) -> bool,
    others: Causes,
) -> Summary {
    let is_theirs = |netns: u32, addr: Option<SocketAddr>| addr.is_some_and(|at| takes(netns, at));
    let mut some = summary.clone();
    some.listeners
        .retain(|tally| is_theirs(tally.netns, tally.addr));
    some.stats.retain(|row| is_theirs(row.netns, row.addr));
    some.counts.clear();
    some.causes = others;
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
