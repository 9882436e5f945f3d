//! The socket of an event as `sock_diag` showed it, as JSON has it.

use serde::Serialize;

use super::Cookie;
use crate::enrich::Snapshot;

#[derive(Serialize)]
#[serde(untagged)]
pub enum SnapshotView<'a> {
    Listener {
        cookie: Cookie,
        lag_us: i64,
        shared: bool,
        state: &'a str,
        accept_queue_len: u32,
        accept_queue_limit: u32,
        drops: Option<u32>,
        uid: u32,
        inode: u32,
        cgroup_id: Option<u64>,
    },
    Connection {
        cookie: Cookie,
        lag_us: i64,
        state: &'a str,
        uid: Option<u32>,
        inode: Option<u32>,
        rtt_us: Option<u32>,
        rttvar_us: Option<u32>,
        cwnd: Option<u32>,
        retransmits: Option<u32>,
        total_retrans: Option<u32>,
        unacked: Option<u32>,
        drops: Option<u32>,
    },
}

pub fn snapshot_view(snapshot: &Snapshot, event_ns: u64, shared: bool) -> SnapshotView<'_> {
    let lag_us = (snapshot.taken_mono_ns() as i64 - event_ns as i64) / 1000;
    match snapshot {
        Snapshot::Listener(l) => SnapshotView::Listener {
            cookie: Cookie(l.cookie),
            lag_us,
            shared,
            state: "LISTEN",
            accept_queue_len: l.accept_queue_len,
            accept_queue_limit: l.accept_queue_limit,
            drops: l.drops,
            uid: l.uid,
            inode: l.inode,
            cgroup_id: l.cgroup_id,
        },
        Snapshot::Connection(c) => SnapshotView::Connection {
            cookie: Cookie(c.cookie),
            lag_us,
            state: c.state,
            uid: c.uid,
            inode: c.inode,
            rtt_us: c.rtt_us,
            rttvar_us: c.rttvar_us,
            cwnd: c.cwnd,
            retransmits: c.retransmits,
            total_retrans: c.total_retrans,
            unacked: c.unacked,
            drops: c.drops,
        },
    }
}
