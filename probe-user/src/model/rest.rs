//! What a recorded event holds beside the members of its line, so that the whole of it comes back. Written as it goes: an
//! event allocates nothing on its way to a recording either.

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use probe_common::counter;
use serde::{Deserialize, Serialize};

use crate::model::{
    netns_name::NetnsName,
    observation::{Observation, Snapshot},
};

/// The rest of an event.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rest<'a> {
    /// The kernel side's number of the hook ([`probe_common::hook`]).
    pub hook: u8,
    /// [`probe_common::flag`].
    pub flags: u16,
    /// The socket's state, `sk_state`; 0 without a socket.
    pub sock_state: u8,
    /// The kernel's reason, as a number of this kernel's enum; 0 where it gives none.
    pub reason: u32,
    /// Bit n: counter slot n moved.
    pub moved: u16,
    /// See `Event::moved`.
    pub slots: [u8; counter::SLOTS],
    /// The socket's address in the kernel.
    pub sock: u64,
    /// The socket cookie (`sock_gen_cookie()`); 0 where it has none yet.
    pub cookie: u64,
    /// Sequence number of the segment.
    pub seq: u32,
    /// What the segment acknowledges.
    pub ack_seq: u32,
    /// Timeouts or SYN-ACKs sent again so far.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retransmits: u32,
    /// A line does not name the other end where it is the client.
    #[serde(default, skip_serializing_if = "is_false")]
    pub remote_is_client: bool,
    /// `net.ipv4.tcp_syncookies`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub syncookies: u32,
    /// `net.ipv4.tcp_max_syn_backlog`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_syn_backlog: u32,
    /// Lines have lengths in units that are no exact nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_first_ns: Option<u64>,
    /// How long, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasted_ns: Option<u64>,
    /// When the snapshot was taken, CLOCK_MONOTONIC in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_ns: Option<u64>,
    /// Of a listener's snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// Of a connection's snapshot; a listener's stands in its line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_id: Option<u64>,
    /// The process that the namespace is named after.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub netns_comm: Option<Cow<'a, str>>,
    /// Sockets of `elsewhere`, by inode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere_inodes: Vec<u32>,
    /// A line names a process by its number only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere_names: Vec<Option<Arc<NetnsName>>>,
    /// The namespace of the listener that was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_netns: Option<u32>,
    /// The cause that the look at who listens found; the line has it too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cause_by_look: bool,
}

/// Where a listener is bound to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Bound {
    /// The address and port that it is bound to.
    pub addr: SocketAddr,
    /// `IPV6_V6ONLY`; `None` where the kernel does not tell.
    pub v6only: Option<bool>,
    /// The device that it is bound to; 0 for none.
    pub ifindex: u32,
}

// serde hands over a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_false(is: &bool) -> bool {
    !*is
}

impl<'a> Rest<'a> {
    /// What the line of an observation leaves out.
    pub fn of(seen: &'a Observation) -> Self {
        let event = &seen.event;
        let evidence = &event.evidence;
        let snapshot = seen.snapshot.as_ref().ok();
        let listener = event.listener.as_ref();
        let segment = event.segment().copied().unwrap_or_default();
        Self {
            hook: evidence.hook,
            flags: evidence.flags,
            sock_state: evidence.sock_state,
            reason: evidence.reason,
            moved: evidence.moved,
            slots: event.moved,
            sock: event.sock,
            cookie: event.cookie,
            seq: event.refused().map_or(segment.seq, |refused| refused.isn),
            ack_seq: segment.ack_seq,
            retransmits: segment.retransmits.into(),
            remote_is_client: event.remote.is_some() && event.remote == event.client,
            syncookies: listener.map_or(0, |at| at.syncookies.into()),
            max_syn_backlog: listener.map_or(0, |at| at.max_syn_backlog),
            refused_first_ns: event.refused().map(|refused| refused.first_ns),
            lasted_ns: event.episode().map(|episode| episode.lasted_ns),
            taken_ns: snapshot.map(Snapshot::taken_mono_ns),
            bound: snapshot.and_then(bound),
            cgroup_id: match snapshot {
                Some(Snapshot::Connection(connection)) => connection.cgroup_id,
                _ => None,
            },
            netns_comm: match seen.netns_name.as_deref() {
                Some(NetnsName::Process { comm, .. }) => Some(Cow::Borrowed(comm)),
                _ => None,
            },
            elsewhere_inodes: seen.refusal.elsewhere.iter().map(|one| one.inode).collect(),
            elsewhere_names: elsewhere_names(seen),
            closed_netns: seen.refusal.closed.as_ref().map(|closed| closed.netns),
            cause_by_look: seen.refusal.cause.is_some(),
        }
    }
}

fn elsewhere_names(seen: &Observation) -> Vec<Option<Arc<NetnsName>>> {
    let names = seen.refusal.elsewhere.iter();
    names.map(|one| one.netns_name.clone()).collect()
}

const fn bound(snapshot: &Snapshot) -> Option<Bound> {
    match snapshot {
        Snapshot::Listener(listener) => Some(Bound {
            addr: listener.addr,
            v6only: listener.v6only,
            ifindex: listener.ifindex,
        }),
        Snapshot::Connection(_) => None,
    }
}
