//! Whose a socket is: for what the kernel calls it and its namespace, the
//! processes that hold it, the cgroup it was made in and a name for people go
//! out.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use foldhash::HashMap;

use super::{Enricher, inode};
use crate::model::{
    NetnsNames,
    cgroup::Cgroup,
    netns_name::NetnsName,
    observation::{Observation, Snapshot},
    owner::Owner,
    socket::ListenerSnapshot,
};

/// Inode and cgroup of a socket.
type Key = (u32, Option<u64>);

/// What is the same for every event of a batch whose socket it is.
#[derive(Default)]
pub(super) struct Holders(HashMap<Key, Holder>);

struct Holder {
    owner: Arc<[Owner]>,
    cgroup: Option<Arc<Cgroup>>,
}

impl Holders {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Enricher {
    /// Adds whose it is.
    pub(super) fn identify(&mut self, seen: &mut Observation, holders: &mut Holders) {
        let id = seen.snapshot.as_ref().ok().and_then(Snapshot::cgroup_id);
        let Some(inode) = inode(seen) else {
            // Nobody has the socket any more; who had it is known already, if at all.
            seen.cgroup = self.cgroup(id, &seen.owner);
            return;
        };
        let holder = holders.0.entry((inode, id)).or_insert_with(|| {
            let owner = self.owners.find(inode);
            let cgroup = self.cgroup(id, &owner);
            if let Some(listener) = seen.event.listener {
                self.history.meet(listener.cookie, &owner);
            }
            Holder { owner, cgroup }
        });
        seen.owner = Arc::clone(&holder.owner);
        seen.cgroup.clone_from(&holder.cgroup);
    }

    /// Whose listener it is: the processes that hold it, and the cgroup it was made in.
    pub fn identity(&mut self, listener: &ListenerSnapshot) -> (Arc<[Owner]>, Option<Arc<Cgroup>>) {
        let owner = self.owners.find(listener.inode);
        let cgroup = self.cgroup(listener.cgroup_id, &owner);
        (owner, cgroup)
    }

    /// Looks once, in one scan, for who holds each of these sockets; how many processes could not be looked at.
    pub fn learn_owners(&mut self, inodes: &HashSet<u32>) -> u32 {
        self.owners.prime(inodes);
        self.owners.unreadable()
    }

    /// What a namespace is called.
    pub fn netns_name(&mut self, netns: u32) -> Option<Arc<NetnsName>> {
        if let Some(name) = self.netns_names.get(&netns) {
            return Some(Arc::clone(name));
        }
        let name = Arc::new(self.registry.called(netns)?);
        self.netns_names.insert(netns, Arc::clone(&name));
        Some(name)
    }

    /// What those of these namespaces are called that have a name.
    pub fn netns_names(&mut self, of: impl IntoIterator<Item = u32>) -> NetnsNames {
        let of: BTreeSet<u32> = of.into_iter().collect();
        of.into_iter()
            .filter_map(|netns| Some((netns, self.netns_name(netns)?)))
            .collect()
    }

    /// The cgroup that a socket was made in; where that is not known, or is the root, which says nothing, that of the first
    /// process that holds it.
    pub(super) fn cgroup(&mut self, id: Option<u64>, owner: &[Owner]) -> Option<Arc<Cgroup>> {
        let made_in = id.and_then(|id| self.cgroups.find(id));
        if made_in.as_ref().is_some_and(|cgroup| !cgroup.is_root()) {
            return made_in;
        }
        let of_owner = owner.first().and_then(|owner| self.cgroup_of(owner.pid));
        of_owner.or(made_in)
    }

    fn cgroup_of(&mut self, pid: u32) -> Option<Arc<Cgroup>> {
        if let Some(known) = self.cgroups_of_pids.get(&pid) {
            return Some(Arc::clone(known));
        }
        let found = self.cgroups.of_process(pid)?;
        self.cgroups_of_pids.insert(pid, Arc::clone(&found));
        Some(found)
    }
}
