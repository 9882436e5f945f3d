//! A listener that was found, and what was found out about it.

use std::sync::Arc;

use crate::model::{
    cgroup::Cgroup, netns_name::NetnsName, owner::Owner, socket::ListenerSnapshot,
    sysctls::ListenSysctls,
};

/// One listener, and what was found out about it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The inode number of its network namespace.
    pub netns: u32,
    /// What that namespace is called for people, where it has a name.
    pub netns_name: Option<Arc<NetnsName>>,
    /// What `sock_diag` said of it.
    pub snapshot: ListenerSnapshot,
    /// All unknown where the namespace could not be entered.
    pub sysctls: ListenSysctls,
    /// The processes that hold it, as far as they are known.
    pub owner: Arc<[Owner]>,
    /// Whether an owner would have been seen, whoever it is.
    pub sees_owners: bool,
    /// The cgroup of its maker, where that is known.
    pub cgroup: Option<Arc<Cgroup>>,
}
