//! What the namespace of a listener says: sysctls and the firewall's table.

use std::collections::BTreeSet;

use super::Looks;
use crate::{
    diagnose::{Signals, Sysctls},
    enrich::Enricher,
    host::{netns, sysctl},
};

pub fn sysctls(netns: u32, enricher: &mut Enricher) -> Sysctls {
    let [somaxconn, syncookies, abort_on_overflow, max_syn_backlog] = sysctl::read(
        &mut enricher.registry,
        netns,
        [
            "core/somaxconn",
            "ipv4/tcp_syncookies",
            "ipv4/tcp_abort_on_overflow",
            "ipv4/tcp_max_syn_backlog",
        ],
    )
    .unwrap_or_default();
    Sysctls {
        somaxconn,
        syncookies,
        abort_on_overflow,
        max_syn_backlog,
    }
}

/// Adds what the namespace itself says: that of the listener which refused most, else the one asked for.
/// Says which.
pub fn ask_host(
    signals: &mut Signals,
    looks: &Looks,
    only: Option<u32>,
    enricher: &mut Enricher,
) -> u32 {
    let worst = signals.worst().map(|worst| worst.cookie);
    let of_worst = looks
        .queues
        .values()
        .find(|queue| Some(queue.last.cookie) == worst)
        .map(|queue| queue.netns);
    let seen: BTreeSet<u32> = looks.queues.values().map(|queue| queue.netns).collect();
    let netns = of_worst
        .or(only)
        .or_else(|| seen.first().copied())
        .or_else(|| netns::current().ok())
        .unwrap_or(0);
    signals.sysctls = sysctls(netns, enricher);
    let [count, most] = sysctl::read(
        &mut enricher.registry,
        netns,
        ["netfilter/nf_conntrack_count", "netfilter/nf_conntrack_max"],
    )
    .unwrap_or_default();
    signals.conntrack = count.zip(most);
    netns
}
