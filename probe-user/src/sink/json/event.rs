//! The line of an event, written as it goes: there may be ten thousand a second.

use std::net::SocketAddr;

use super::{
    identity::{task_view, write_netns, write_whose},
    member::{self, AddressKeys},
    refusal::{ElsewhereView, closed_view},
    snapshot,
};
use crate::{
    model::{
        cause::Cause,
        event::{Event, ListenerAt},
        kind::{Kind, Stage},
        observation::{Observation, Snapshot},
        refusal::Refusal,
        rest::Rest,
    },
    sink::{
        Reporter,
        append::micros,
        same::{Netns, Same, Whose},
    },
};

const CLIENT: AddressKeys = AddressKeys {
    whole: r#","client":""#,
    ip: r#"","client_addr":""#,
    port: r#"","client_port":"#,
    null: r#","client":null,"client_addr":null,"client_port":null"#,
};
const LOCAL: AddressKeys = AddressKeys {
    whole: r#","local":""#,
    ip: r#"","local_addr":""#,
    port: r#"","local_port":"#,
    null: r#","local":null,"local_addr":null,"local_port":null"#,
};
const REMOTE: AddressKeys = AddressKeys {
    whole: r#","remote":""#,
    ip: r#"","remote_addr":""#,
    port: r#"","remote_port":"#,
    null: r#","remote":null,"remote_addr":null,"remote_port":null"#,
};
const ADDR: AddressKeys = AddressKeys {
    whole: r#","addr":""#,
    ip: r#"","ip":""#,
    port: r#"","port":"#,
    null: r#","addr":null,"ip":null,"port":null"#,
};

/// What the line of the event before was made of, stretch by stretch.
#[derive(Default)]
pub(in crate::sink) struct Last {
    second: Same<u64>,
    what: Same<(Kind, Option<Stage>, Option<Cause>)>,
    ends: Same<(Option<SocketAddr>, Option<SocketAddr>, Netns)>,
    listener: Same<Option<ListenerAt>>,
    snapshot: snapshot::Last,
    whose: Same<Whose>,
}

pub(super) fn write(reporter: &mut Reporter, seen: &Observation, to: &mut String) {
    let event = &seen.event;
    let is_whole = reporter.is_whole;
    let last = &mut reporter.last_json;
    let at = reporter.clock.at(event.mono_ns);
    last.second.append_of(at.seconds(), to, |to| {
        to.push_str(r#"{"type":"event","ts":""#);
        to.push_str(at.stamp().second());
    });
    micros(to, at.micros());
    member::number(to, r#"Z","mono_ns":"#, event.mono_ns);
    last.what.append(
        to,
        |(kind, stage, cause)| {
            (*kind, *stage) == (event.kind, event.stage)
                && Cause::is_same(cause.as_ref(), seen.cause.as_ref())
        },
        || (event.kind, event.stage, seen.cause.clone()),
        |to| write_what(seen, to),
    );
    member::address_or_null(to, &CLIENT, event.client, is_whole);
    // The other end, where it is not the client.
    let remote = event.remote.filter(|_| event.remote != event.client);
    last.ends.append(
        to,
        |last| (last.0, last.1) == (event.local, remote) && last.2.is_of(seen),
        || (event.local, remote, Netns::of(seen)),
        |to| {
            member::address_or_null(to, &LOCAL, event.local, is_whole);
            if let Some(remote) = remote {
                member::address(to, &REMOTE, remote, is_whole);
            }
            write_netns(event.netns, seen.netns_name.as_deref(), to);
        },
    );
    member::number(to, r#","cpu":"#, event.cpu);
    last.listener.append_of(event.listener, to, |to| {
        write_listener(event.listener.as_ref(), is_whole, to);
    });
    if matches!(event.kind, Kind::Retransmit | Kind::SynackRetransmit) {
        member::number(
            to,
            r#","retransmits":"#,
            event.segment().map_or(0, |segment| segment.retransmits),
        );
    }
    if seen.reset_reason.is_some() || matches!(event.kind, Kind::ResetSent | Kind::Refused) {
        member::text_or_null(to, r#","reset_reason":"#, seen.reset_reason.as_deref());
    }
    if event.kind == Kind::Refused {
        write_refusal(&seen.refusal, event.mono_ns, to);
    }
    write_past(event, to);
    to.push_str(if event.late {
        r#","late":true"#
    } else {
        r#","late":false"#
    });
    match &seen.snapshot {
        Ok(Snapshot::Listener(found)) => {
            last.snapshot.write(found, event.mono_ns, seen.shared, to);
        }
        Ok(Snapshot::Connection(found)) => {
            snapshot::write_connection(found, event.mono_ns, to);
        }
        Err(why) => member::text(to, r#","snapshot":null,"no_snapshot":"#, why),
    }
    let tier = reporter.tier.name();
    last.whose.append(
        to,
        |whose| whose.is_of(seen),
        || Whose::of(seen),
        |to| {
            write_whose(&seen.owner, seen.cgroup.as_deref(), to);
            member::name(to, r#","tier":"#, tier);
        },
    );
    if is_whole {
        member::any(to, r#","item":"#, &Rest::of(seen));
    }
    to.push_str("}\n");
}

/// What happened, where in a handshake, and why.
fn write_what(seen: &Observation, to: &mut String) {
    member::name(to, r#","kind":"#, seen.event.kind.name());
    match seen.event.stage {
        Some(stage) => member::name(to, r#","stage":"#, stage.name()),
        None => to.push_str(r#","stage":null"#),
    }
    write_cause(seen.cause.as_ref(), to);
}

fn write_cause(cause: Option<&Cause>, to: &mut String) {
    let Some(cause) = cause else {
        return to.push_str(r#","cause":null,"or":[]"#);
    };
    member::text(to, r#","cause":"#, &cause.id);
    let [first, others @ ..] = cause.or else {
        return to.push_str(r#","or":[]"#);
    };
    member::text(to, r#","or":["#, first);
    for other in others {
        member::text(to, ",", other);
    }
    to.push(']');
}

fn write_listener(listener: Option<&ListenerAt>, is_whole: bool, to: &mut String) {
    let Some(at) = listener else {
        return to.push_str(r#","listener":null"#);
    };
    member::cookie(to, r#","listener":{"cookie":"#, at.cookie);
    member::address(to, &ADDR, at.addr, is_whole);
    member::number(to, r#","accept_queue_len":"#, at.accept_queue_len);
    member::number(to, r#","accept_queue_limit":"#, at.accept_queue_limit);
    member::number(to, r#","syn_queue_len":"#, at.syn_queue_len);
    to.push('}');
}

/// Why nobody listened.
fn write_refusal(refusal: &Refusal, event_ns: u64, to: &mut String) {
    let near: Vec<ElsewhereView> = refusal.elsewhere.iter().map(Into::into).collect();
    member::any(to, r#","elsewhere":"#, &near);
    let closed = refusal.closed.as_ref();
    let closed = closed.map(|closed| closed_view(closed, event_ns));
    member::any(to, r#","closed":"#, &closed);
}

/// What came before: of a closed listener, of a queue that has eased, of a connection.
fn write_past(event: &Event, to: &mut String) {
    let ms = |ns: u64| (ns / 1000) as f64 / 1000.0;
    match event.kind {
        Kind::ListenerClosed => {
            let task = event.closed_by().map(task_view);
            member::any(to, r#","closed_by":"#, &task);
        }
        Kind::Eased => {
            let episode = event.episode();
            member::number_or_null(to, r#","peak":"#, episode.map(|episode| episode.peak));
            let lasted = episode.map(|episode| ms(episode.lasted_ns));
            member::any(to, r#","lasted_ms":"#, &lasted);
        }
        Kind::Connected => {
            let refused = event.refused();
            member::number_or_null(to, r#","refusals":"#, refused.map(|refused| refused.times));
            let delay = refused.map(|refused| {
                let delay_ns = event.mono_ns.saturating_sub(refused.first_ns);
                ms(delay_ns)
            });
            member::any(to, r#","delay_ms":"#, &delay);
        }
        _ => {}
    }
}
