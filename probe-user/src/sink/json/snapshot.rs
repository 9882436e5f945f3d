//! The socket of an event as `sock_diag` showed it, as JSON has it.

use super::member;
use crate::model::{
    observation::Snapshot,
    socket::{ConnectionSnapshot, ListenerSnapshot},
};

/// Where it begins.
const COOKIE: &str = r#","snapshot":{"cookie":"#;

pub(super) fn write(snapshot: &Snapshot, event_ns: u64, shared: bool, to: &mut String) {
    let lag_us = (snapshot.taken_mono_ns() as i64 - event_ns as i64) / 1000;
    match snapshot {
        Snapshot::Listener(listener) => write_listener(listener, lag_us, shared, to),
        Snapshot::Connection(connection) => write_connection(connection, lag_us, to),
    }
    to.push('}');
}

fn write_listener(l: &ListenerSnapshot, lag_us: i64, shared: bool, to: &mut String) {
    member::cookie(to, COOKIE, l.cookie);
    member::number(to, r#","lag_us":"#, lag_us);
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
}

fn write_connection(c: &ConnectionSnapshot, lag_us: i64, to: &mut String) {
    member::cookie(to, COOKIE, c.cookie);
    member::number(to, r#","lag_us":"#, lag_us);
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
}
