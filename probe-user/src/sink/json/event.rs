//! The line of an event, written as it goes: there may be ten thousand a second.

use super::{
    identity::{task_view, write_netns, write_whose},
    member,
    refusal::{ElsewhereView, closed_view},
    snapshot,
};
use crate::{
    cause::Cause,
    decode::{Event, Kind, ListenerAt},
    enrich::{Observation, Refusal},
    model::rest::Rest,
    sink::Reporter,
};

pub fn write(reporter: &Reporter, seen: &Observation, to: &mut String) {
    let event = &seen.event;
    to.push_str(r#"{"type":"event","ts":""#);
    to.push_str(reporter.clock.at(event.mono_ns).stamp().whole());
    member::number(to, r#"","mono_ns":"#, event.mono_ns);
    member::name(to, r#","kind":"#, event.kind.name());
    match event.stage {
        Some(stage) => member::name(to, r#","stage":"#, stage.name()),
        None => to.push_str(r#","stage":null"#),
    }
    if let Some(cause) = &seen.cause {
        write_cause(cause, to);
    }
    member::address_or_null(to, r#","client":"#, event.client);
    member::address_or_null(to, r#","local":"#, event.local);
    // The other end, where it is not the client.
    if event.remote.is_some() && event.remote != event.client {
        member::address_or_null(to, r#","remote":"#, event.remote);
    }
    write_netns(event.netns, seen.netns_name.as_deref(), to);
    member::number(to, r#","cpu":"#, event.cpu);
    write_listener(event.listener.as_ref(), to);
    if matches!(event.kind, Kind::Retransmit | Kind::SynackRetransmit) {
        member::number(
            to,
            r#","retransmits":"#,
            event.segment().map_or(0, |segment| segment.retransmits),
        );
    }
    if let Some(reason) = &seen.reset_reason {
        member::text(to, r#","reset_reason":"#, reason);
    }
    write_refusal(&seen.refusal, event.mono_ns, to);
    write_past(event, to);
    if event.late {
        to.push_str(r#","late":true"#);
    }
    match &seen.snapshot {
        Ok(found) => snapshot::write(found, event.mono_ns, seen.shared, to),
        Err(why) => member::text(to, r#","snapshot":null,"no_snapshot":"#, why),
    }
    write_whose(&seen.owner, seen.cgroup.as_deref(), to);
    member::name(to, r#","tier":"#, reporter.tier.name());
    if reporter.is_whole {
        member::any_direct(to, r#","item":"#, &Rest::of(seen));
    }
    to.push_str("}\n");
}

fn write_cause(cause: &Cause, to: &mut String) {
    member::text(to, r#","cause":"#, &cause.id);
    if let [first, others @ ..] = cause.or {
        member::text(to, r#","or":["#, first);
        for other in others {
            member::text(to, ",", other);
        }
        to.push(']');
    }
}

fn write_listener(listener: Option<&ListenerAt>, to: &mut String) {
    let Some(at) = listener else {
        return to.push_str(r#","listener":null"#);
    };
    member::cookie(to, r#","listener":{"cookie":"#, at.cookie);
    member::address_or_null(to, r#","addr":"#, Some(at.addr));
    member::number(to, r#","accept_queue_len":"#, at.accept_queue_len);
    member::number(to, r#","accept_queue_limit":"#, at.accept_queue_limit);
    member::number(to, r#","syn_queue_len":"#, at.syn_queue_len);
    to.push('}');
}

/// Why nobody listened.
fn write_refusal(refusal: &Refusal, event_ns: u64, to: &mut String) {
    if !refusal.elsewhere.is_empty() {
        let near: Vec<ElsewhereView> = refusal.elsewhere.iter().map(Into::into).collect();
        member::any(to, r#","elsewhere":"#, &near);
    }
    if let Some(closed) = &refusal.closed {
        member::any(to, r#","closed":"#, &closed_view(closed, event_ns));
    }
}

/// What came before: of a closed listener, of a queue that has eased, of a connection.
fn write_past(event: &Event, to: &mut String) {
    let ms = |ns: u64| (ns / 1000) as f64 / 1000.0;
    if let Some(task) = event.closed_by() {
        member::any(to, r#","closed_by":"#, &task_view(task));
    }
    if let Some(episode) = event.episode() {
        member::number(to, r#","peak":"#, episode.peak);
        member::any(to, r#","lasted_ms":"#, &ms(episode.lasted_ns));
    }
    if let Some(refused) = event.refused() {
        member::number(to, r#","refusals":"#, refused.times);
        let delay_ns = event.mono_ns.saturating_sub(refused.first_ns);
        member::any(to, r#","delay_ms":"#, &ms(delay_ns));
    }
}
