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
    /// Of a listener.
    Listener(ListenerSnapshot),
    /// Of a connection.
    Connection(ConnectionSnapshot),
}

impl Snapshot {
    /// The socket cookie.
    pub const fn cookie(&self) -> u64 {
        match self {
            Self::Listener(snapshot) => snapshot.cookie,
            Self::Connection(snapshot) => snapshot.cookie,
        }
    }

    /// When it was taken, CLOCK_MONOTONIC in nanoseconds.
    pub const fn taken_mono_ns(&self) -> u64 {
        match self {
            Self::Listener(snapshot) => snapshot.taken_mono_ns,
            Self::Connection(snapshot) => snapshot.taken_mono_ns,
        }
    }

    /// The socket's inode number, where it has one.
    pub fn inode(&self) -> Option<u32> {
        match self {
            Self::Listener(snapshot) => Some(snapshot.inode),
            Self::Connection(snapshot) => snapshot.inode,
        }
    }

    /// The cgroup of its maker, where the kernel says it.
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
    /// What happened.
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
    /// The processes that hold it, as far as they are known.
    pub owner: Arc<[Owner]>,
    /// The cgroup of its maker, where that is known.
    pub cgroup: Option<Arc<Cgroup>>,
    /// What that namespace is called for people, where it has a name.
    pub netns_name: Option<Arc<NetnsName>>,
}

#[cfg(test)]
impl Observation {
    /// A SYN that came to nobody, of which nothing else is known, for tests.
    pub fn sample() -> Self {
        Self {
            event: Event::sample(),
            cause: None,
            reset_reason: None,
            refusal: Refusal::default(),
            snapshot: Err("there is no socket".into()),
            shared: false,
            owner: Arc::from([]),
            cgroup: None,
            netns_name: None,
        }
    }
}
