//! An event with everything that is known about it.

use std::{borrow::Cow, sync::Arc};

use super::{
    cause::Cause,
    cgroup::Cgroup,
    event::Event,
    netns_name::NetnsName,
    owner::Owner,
    refusal::Refusal,
    socket::{ConnectionSnapshot, ListenerSnapshot},
};

/// The socket of the event as `sock_diag` showed it.
#[derive(Clone, Debug)]
pub enum Snapshot {
    Listener(ListenerSnapshot),
    Connection(ConnectionSnapshot),
}

impl Snapshot {
    pub const fn cookie(&self) -> u64 {
        match self {
            Self::Listener(snapshot) => snapshot.cookie,
            Self::Connection(snapshot) => snapshot.cookie,
        }
    }

    pub const fn taken_mono_ns(&self) -> u64 {
        match self {
            Self::Listener(snapshot) => snapshot.taken_mono_ns,
            Self::Connection(snapshot) => snapshot.taken_mono_ns,
        }
    }

    pub fn inode(&self) -> Option<u32> {
        match self {
            Self::Listener(snapshot) => Some(snapshot.inode),
            Self::Connection(snapshot) => snapshot.inode,
        }
    }

    pub const fn cgroup_id(&self) -> Option<u64> {
        match self {
            Self::Listener(snapshot) => snapshot.cgroup_id,
            Self::Connection(snapshot) => snapshot.cgroup_id,
        }
    }
}

/// An event with everything that is known about it.
#[derive(Clone, Debug)]
pub struct Observation {
    pub event: Event,
    /// `None` where the kind says all there is.
    pub cause: Option<Cause>,
    /// The kernel's own name of a reset's reason, where it gives one.
    pub reset_reason: Option<Arc<str>>,
    /// Why nobody listened; of a [`Kind::Refused`](super::kind::Kind::Refused) only.
    pub refusal: Refusal,
    /// Or why there is none.
    pub snapshot: Result<Snapshot, Cow<'static, str>>,
    /// Whether the snapshot was taken for another event of the same burst.
    pub shared: bool,
    pub owner: Arc<[Owner]>,
    pub cgroup: Option<Arc<Cgroup>>,
    pub netns_name: Option<Arc<NetnsName>>,
}
