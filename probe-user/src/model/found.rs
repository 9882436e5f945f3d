//! A listener that was found, and what was found out about it.

use std::sync::Arc;

use crate::model::{
    cgroup::Cgroup, netns_name::NetnsName, owner::Owner, socket::ListenerSnapshot,
    sysctls::ListenSysctls,
};

/// One listener, and what was found out about it.
#[derive(Clone, Debug)]
pub struct Found {
    pub netns: u32,
    pub netns_name: Option<Arc<NetnsName>>,
    pub snapshot: ListenerSnapshot,
    /// All unknown where the namespace could not be entered.
    pub sysctls: ListenSysctls,
    pub owner: Arc<[Owner]>,
    /// Whether an owner would have been seen, whoever it is.
    pub sees_owners: bool,
    pub cgroup: Option<Arc<Cgroup>>,
}
