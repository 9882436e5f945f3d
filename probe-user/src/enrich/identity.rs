//! Whose a socket is: for what the kernel calls it and its namespace, the
//! processes that hold it, the cgroup it was made in and a name for people go
//! out.

use std::sync::Arc;

use super::Enricher;
use crate::inspect::{cgroup::Cgroup, diag::ListenerSnapshot, netns::NetnsName, owner::Owner};

impl Enricher {
    /// Whose listener it is: the processes that hold it, and the cgroup it was made in.
    pub fn identity(&mut self, listener: &ListenerSnapshot) -> (Arc<[Owner]>, Option<Arc<Cgroup>>) {
        let owner = self.owners.find(listener.inode);
        let cgroup = self.cgroup(listener.cgroup_id, &owner);
        (owner, cgroup)
    }

    /// What a namespace is called.
    pub fn netns_name(&mut self, netns: u32) -> Option<NetnsName> {
        if let Some(name) = self.netns_names.get(&netns) {
            return Some(name.clone());
        }
        let name = self.registry.called(netns)?;
        self.netns_names.insert(netns, name.clone());
        Some(name)
    }

    /// A socket's cgroup; where it has none, that of the first process that holds it.
    pub(super) fn cgroup(&mut self, id: Option<u64>, owner: &[Owner]) -> Option<Arc<Cgroup>> {
        id.and_then(|id| self.cgroups.find(id)).or_else(|| {
            owner
                .first()
                .and_then(|owner| self.cgroups.of_process(owner.pid))
        })
    }
}
