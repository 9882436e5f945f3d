//! What is refused elsewhere than where clients look, or before a client's own SYN leaves this host.

use super::{Judged, said::evidence};
use crate::model::{
    around::{How, Redirect, Taker},
    signals::{Probe, Signals},
    verdict::{Confidence, Evidence},
};

const OF_TABLE: &str = "/proc/net/nf_conntrack";
const OF_SOCKETS: &str = "sock_diag";

pub(super) fn redirected(signals: &Signals) -> Judged {
    let Some(redirects) = &signals.redirects else {
        return unread(signals);
    };
    let troubled: Vec<&Redirect> = redirects.iter().filter(|one| one.is_troubled()).collect();
    if troubled.is_empty() {
        return Judged::No(match redirects.first() {
            Some(one) => format!(
                "{} connections to it come out at {}, and had their answers",
                one.connections, one.to
            ),
            None => "its connections are sent nowhere else".into(),
        });
    }
    let mut found = Vec::new();
    for redirect in &troubled {
        found.push(way(redirect));
        found.extend(redirect.listeners.iter().map(taker));
        let questions = redirect.listeners.iter().map(|taker| {
            let (to, netns) = (redirect.reaches(taker), taker.netns_argument());
            evidence(format!("ask there: whydrop why {to}{netns}"), OF_SOCKETS)
        });
        found.extend(questions);
        if redirect.listeners.is_empty() {
            let says = if redirect.unasked {
                format!(
                    "who listens at {} is not known: not every namespace could be asked",
                    redirect.to
                )
            } else {
                format!(
                    "nobody on this host listens at {}: it is on another host, or nobody does",
                    redirect.to
                )
            };
            found.push(evidence(says, OF_SOCKETS));
        }
    }
    // Which of several listeners takes a connection by IP_TRANSPARENT, only its rule says.
    let is_certain = troubled
        .iter()
        .any(|one| one.how == How::Translated && one.is_refused());
    let confidence = if is_certain {
        Confidence::Certain
    } else {
        Confidence::Likely
    };
    Judged::Yes(confidence, found)
}

/// What has come to a listener was sent nowhere else, and had a source port.
fn unread(signals: &Signals) -> Judged {
    if signals.refusals > 0 {
        return Judged::No("who was refused had come to the listener".into());
    }
    Judged::Abstains
}

fn way(redirect: &Redirect) -> Evidence {
    let Redirect {
        from,
        to,
        connections,
        unanswered,
        ..
    } = redirect;
    match redirect.how {
        How::Translated => evidence(
            format!(
                "{from} is translated to {to} (DNAT): {connections} connections, of which {unanswered} had no answer"
            ),
            OF_TABLE,
        ),
        How::Transparent => evidence(
            format!(
                "{connections} connections to {from} are here, to which nobody is bound: a listener with IP_TRANSPARENT takes them (TPROXY)"
            ),
            OF_SOCKETS,
        ),
    }
}

fn taker(taker: &Taker) -> Evidence {
    let owner = taker.owner.first();
    let owner = owner.map_or_else(String::new, |one| format!(" {}[{}]", one.comm, one.pid));
    let netns = match taker.netns_name.as_deref().and_then(|name| name.given()) {
        Some(name) => format!(" in netns {name}"),
        None => format!(" in netns {}", taker.netns),
    };
    let over = if taker.is_over_its_limit() {
        ", over its limit"
    } else {
        ""
    };
    let refused = taker.refused.map_or_else(String::new, |n| {
        format!("; its sk_drops rose by {n} meanwhile")
    });
    evidence(
        format!(
            "who takes them there: {}{owner}{netns}, queue {}/{}{over}{refused}",
            taker.addr, taker.accept_queue_len, taker.accept_queue_limit
        ),
        OF_SOCKETS,
    )
}

pub(super) fn exhausted(signals: &Signals) -> Judged {
    let Some((all, ports)) = &signals.exhausted else {
        return unread(signals);
    };
    if all.is_empty() {
        return Judged::No("no client of this host has taken every source port there is".into());
    }
    let found = all.iter().map(|one| {
        evidence(
            format!(
                "{} of {ports} source ports from {} to {} are taken, {} of them in TIME_WAIT",
                one.taken, one.from, one.to, one.time_wait
            ),
            "sock_diag, net.ipv4.ip_local_port_range",
        )
    });
    // Another address of this host may still have some.
    let confidence = match signals.probe {
        Some(Probe::NoPort) => Confidence::Certain,
        _ => Confidence::Likely,
    };
    Judged::Yes(confidence, found.collect())
}
