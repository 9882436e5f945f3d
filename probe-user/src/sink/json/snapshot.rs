//! The socket of an event as `sock_diag` showed it, as JSON has it.

use super::member;
use crate::{
    model::socket::{ConnectionSnapshot, ListenerSnapshot},
    sink::{append, same::Same},
};

/// Where it begins.
const COOKIE: &str = r#","snapshot":{"cookie":"#;
const LAG: &str = r#","lag_us":"#;

/// How long after the event it was taken.
const fn lag_us(taken_ns: u64, event_ns: u64) -> i64 {
    (taken_ns as i64 - event_ns as i64) / 1000
}

/// A listener that the events of a burst have in common.
#[derive(Default)]
pub(super) struct Last {
    cookie: Same<u64>,
    listener: Same<(ListenerSnapshot, bool)>,
}

impl Last {
    pub(super) fn write(
        &mut self,
        found: &ListenerSnapshot,
        event_ns: u64,
        shared: bool,
        to: &mut String,
    ) {
        self.cookie.append_of(found.cookie, to, |to| {
            member::cookie(to, COOKIE, found.cookie);
            to.push_str(LAG);
        });
        append::number(to, lag_us(found.taken_mono_ns, event_ns));
        self.listener.append(
            to,
            |(last, was_shared)| (last, *was_shared) == (found, shared),
            || (found.clone(), shared),
            |to| write_listener(found, shared, to),
        );
    }
}

fn write_listener(l: &ListenerSnapshot, shared: bool, to: &mut String) {
    to.push_str(if shared {
        r#","shared":true,"state":"LISTEN""#
    } else {
        r#","shared":false,"state":"LISTEN""#
    });
    member::number(to, r#","accept_queue_len":"#, l.accept_queue_len);
    member::number(to, r#","accept_queue_limit":"#, l.accept_queue_limit);
    member::number_or_null(to, r#","drops":"#, l.drops);
    member::number(to, r#","uid":"#, l.uid);
    member::number(to, r#","inode":"#, l.inode);
    member::number_or_null(to, r#","cgroup_id":"#, l.cgroup_id);
    to.push('}');
}

pub(super) fn write_connection(c: &ConnectionSnapshot, event_ns: u64, to: &mut String) {
    member::cookie(to, COOKIE, c.cookie);
    member::number(to, LAG, lag_us(c.taken_mono_ns, event_ns));
    member::name(to, r#","state":"#, c.state);
    let numbers = [
        (r#","uid":"#, c.uid),
        (r#","inode":"#, c.inode),
        (r#","rtt_us":"#, c.rtt_us),
        (r#","rttvar_us":"#, c.rttvar_us),
        (r#","cwnd":"#, c.cwnd),
        (r#","retransmits":"#, c.retransmits),
        (r#","total_retrans":"#, c.total_retrans),
        (r#","unacked":"#, c.unacked),
        (r#","drops":"#, c.drops),
    ];
    for (key, number) in numbers {
        member::number_or_null(to, key, number);
    }
    to.push('}');
}
