//! From the lines of a watch to facts about incidents.

use crate::model::{
    Accepted, Line, ListenerStatsRow, Sampled,
    cause::Cause,
    incident::{Fact, Place, Row, What},
    kind::Kind,
    observation::Observation,
};

/// What a line says of a listener that refused, or of one that may.
pub fn fact(mono_ns: u64, line: &Line<'_>) -> Option<Fact> {
    match line {
        Line::Event(seen) if seen.event.kind.is_refusal() => refusal(seen),
        Line::Sampled(sampled) if sampled.kind.is_refusal() => left_out(mono_ns, sampled),
        Line::Stats(row) => figures(mono_ns, row),
        _ => None,
    }
}

/// `kind/cause`, or the kind alone.
pub(super) fn named(kind: Kind, cause: Option<&Cause>) -> String {
    match cause {
        Some(cause) => format!("{kind}/{}", cause.id),
        None => kind.name().to_owned(),
    }
}

fn refusal(seen: &Observation) -> Option<Fact> {
    let event = &seen.event;
    let at = event.listener?;
    Some(Fact {
        mono_ns: event.mono_ns,
        place: Place {
            netns: event.netns,
            addr: at.addr,
        },
        cookie: if at.cookie == 0 {
            event.cookie
        } else {
            at.cookie
        },
        what: What::Drop {
            cause: named(event.kind, seen.cause.as_ref()),
            client: event.client.map(|client| client.ip().to_canonical()),
            queue: (at.accept_queue_len, at.accept_queue_limit),
        },
    })
}

fn left_out(mono_ns: u64, sampled: &Sampled) -> Option<Fact> {
    Some(Fact {
        mono_ns,
        place: Place {
            netns: sampled.netns,
            addr: sampled.listener?,
        },
        cookie: sampled.cookie,
        what: What::LeftOut {
            cause: named(sampled.kind, sampled.cause.as_ref()),
            n: sampled.count,
            clients_known: sampled.clients_exact,
        },
    })
}

fn figures(mono_ns: u64, row: &ListenerStatsRow) -> Option<Fact> {
    Some(Fact {
        mono_ns,
        place: Place {
            netns: row.netns,
            addr: row.addr?,
        },
        cookie: row.cookie,
        what: What::Row(Row {
            accepted: row.accepted.number(),
            is_counted: matches!(row.accepted, Accepted::Counted(_)),
            queued: row.queued,
            limit: row.accept_queue.1,
        }),
    })
}
