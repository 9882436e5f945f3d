//! Whose a socket is: for what the kernel calls it and its namespace, the
//! processes that hold it, the cgroup it was made in and a name for people go
//! out.

use std::sync::Arc;

use foldhash::HashMap;

use super::{Enricher, inode};
use crate::model::{
    cgroup::Cgroup,
    netns_name::NetnsName,
    observation::{Observation, Snapshot},
    owner::Owner,
};

/// Inode and cgroup of a socket.
type Key = (u32, Option<u64>);

/// What is the same for every event of a batch whose socket, or namespace, it is.
#[derive(Default)]
pub(super) struct Holders {
    of_sockets: HashMap<Key, Holder>,
    netns_names: HashMap<u32, Option<Arc<NetnsName>>>,
    /// The event before's: most of a batch are of one socket.
    newest: Option<Newest>,
}

struct Newest {
    netns: u32,
    socket: Key,
    holder: Holder,
    netns_name: Option<Arc<NetnsName>>,
}

#[derive(Clone)]
struct Holder {
    owner: Arc<[Owner]>,
    cgroup: Option<Arc<Cgroup>>,
}

impl Holders {
    pub(crate) fn clear(&mut self) {
        self.of_sockets.clear();
        self.netns_names.clear();
        self.newest = None;
    }
}

impl Enricher {
    /// Adds whose it is.
    pub(super) fn identify(&mut self, seen: &mut Observation, holders: &mut Holders) {
        let netns = seen.event.netns;
        let id = seen.snapshot.as_ref().ok().and_then(Snapshot::cgroup_id);
        let inode = inode(seen);
        if let (Some(newest), Some(inode)) = (&holders.newest, inode)
            && (newest.netns, newest.socket) == (netns, (inode, id))
        {
            seen.netns_name.clone_from(&newest.netns_name);
            newest.holder.give(seen);
            return;
        }
        let name = holders.netns_names.entry(netns);
        let name = name.or_insert_with(|| self.host.netns_name(netns));
        seen.netns_name.clone_from(name);
        let Some(inode) = inode else {
            // Nobody has the socket any more; who had it is known already, if at all.
            seen.cgroup = self.host.cgroup(id, &seen.owner);
            return;
        };
        let holder = holders.of_sockets.entry((inode, id)).or_insert_with(|| {
            let owner = self.host.owner(inode);
            let cgroup = self.host.cgroup(id, &owner);
            if let Some(listener) = seen.event.listener {
                self.history.meet(listener.cookie, &owner);
            }
            Holder { owner, cgroup }
        });
        holder.give(seen);
        holders.newest = Some(Newest {
            netns,
            socket: (inode, id),
            holder: holder.clone(),
            netns_name: seen.netns_name.clone(),
        });
    }
}

impl Holder {
    fn give(&self, seen: &mut Observation) {
        seen.owner = Arc::clone(&self.owner);
        seen.cgroup.clone_from(&self.cgroup);
    }
}
