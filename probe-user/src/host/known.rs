//! What one command knows of this host. Names that the kernel gives things come in; listeners, owners, cgroups and names
//! go out. Everybody who asks for a command shares what was found in /proc: namespaces and the ways into them, owners of
//! sockets, cgroups, names. So it is searched once, at the pace of one, whoever needs it. Sockets of `sock_diag` are each
//! handle's own: nobody waits for another's answer. A lock is held for one question, and never two at once.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use foldhash::HashMap;

use super::{
    cgroup::Cgroups,
    diag::{Diag, DiagError, DiagPool},
    netns::Registry,
    open_files::OpenFiles,
    owner::Owners,
};
use crate::model::{
    NetnsNames,
    cgroup::Cgroup,
    netns_name::NetnsName,
    owner::Owner,
    socket::{AcceptedSnapshot, HalfOpen, ListenerSnapshot},
};

/// Half-open requests that are looked at one by one.
const REQUESTS_AT_MOST: usize = 16_384;
/// Of one listener.
const ACCEPTED_AT_MOST: usize = 4096;

/// Names and cgroups of processes are asked for anew after so long.
const FRESH: Duration = Duration::from_secs(1);

/// A handle; [`Host::another`] makes one for another thread.
pub struct Host {
    shared: Arc<Shared>,
    pool: DiagPool,
}

struct Shared {
    namespaces: Mutex<Registry>,
    owners: Mutex<Owners>,
    names: Mutex<Names>,
}

/// What things are called.
struct Names {
    cgroups: Cgroups,
    /// Where processes are.
    of_pids: HashMap<u32, Arc<Cgroup>>,
    of_netns: HashMap<u32, Arc<NetnsName>>,
    since: Instant,
}

impl Host {
    /// Looks at every process once.
    pub fn new() -> Self {
        let mut namespaces = Registry::new();
        namespaces.refresh();
        Self {
            shared: Arc::new(Shared {
                namespaces: Mutex::new(namespaces),
                owners: Mutex::new(Owners::new()),
                names: Mutex::new(Names {
                    cgroups: Cgroups::new(),
                    of_pids: HashMap::default(),
                    of_netns: HashMap::default(),
                    since: Instant::now(),
                }),
            }),
            pool: DiagPool::new(),
        }
    }

    /// The same host for somebody else, who asks on sockets of its own.
    pub fn another(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            pool: DiagPool::new(),
        }
    }

    /// To be called every second or so.
    pub fn tick(&mut self, now: Instant) {
        self.pool.expire(now);
        self.names().forget(now);
    }

    /// The namespaces, to be let go of after one question.
    pub fn namespaces(&self) -> MutexGuard<'_, Registry> {
        locked(&self.shared.namespaces)
    }

    fn owners(&self) -> MutexGuard<'_, Owners> {
        locked(&self.shared.owners)
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        locked(&self.shared.names)
    }

    /// The socket for a namespace's questions.
    pub fn diag(&mut self, netns: u32) -> Result<&mut Diag, DiagError> {
        let namespaces = &self.shared.namespaces;
        self.pool.get(
            |netns| locked(namespaces).open(netns),
            netns,
            Instant::now(),
        )
    }

    /// The net cookie of a namespace. While its socket is kept, its number is no other's.
    pub fn netns_cookie(&mut self, netns: u32) -> Option<u64> {
        // Where nobody may enter, only numbers tell namespaces apart.
        self.diag(netns).ok()?;
        self.pool.last_cookie(netns)
    }

    /// That of whoever was asked last under this number; `None` if nobody was.
    pub fn last_netns_cookie(&self, netns: u32) -> Option<u64> {
        self.pool.last_cookie(netns)
    }

    /// Every listener of a namespace.
    pub fn all_listeners(&mut self, netns: u32) -> Result<Vec<ListenerSnapshot>, DiagError> {
        self.diag(netns)?.listeners(None)
    }

    /// Every listener of one port of a namespace.
    pub fn listeners_of(
        &mut self,
        netns: u32,
        port: u16,
    ) -> Result<Vec<ListenerSnapshot>, DiagError> {
        self.diag(netns)?.listeners(Some(port))
    }

    /// The same; a namespace that has ended has none.
    pub fn listeners_if_there(
        &mut self,
        netns: u32,
        port: u16,
    ) -> Result<Vec<ListenerSnapshot>, DiagError> {
        match self.listeners_of(netns, port) {
            Err(error) if error.is_gone() => Ok(Vec::new()),
            asked => asked,
        }
    }

    /// Connections that somebody accepted from this listener.
    pub fn accepted(
        &mut self,
        netns: u32,
        listener: &ListenerSnapshot,
    ) -> Result<Vec<AcceptedSnapshot>, DiagError> {
        let port = listener.addr.port();
        let mut found = self.diag(netns)?.accepted(port, ACCEPTED_AT_MOST)?;
        let at = listener.addr.ip().to_canonical();
        found.retain(|one| at.is_unspecified() || one.local.ip().to_canonical() == at);
        Ok(found)
    }

    /// The half-open requests of this listener. An error is a sentence.
    pub fn half_open(
        &mut self,
        netns: u32,
        listener: &ListenerSnapshot,
    ) -> Result<HalfOpen, DiagError> {
        let port = listener.addr.port();
        let (found, in_all) = self.diag(netns)?.requests(port, REQUESTS_AT_MOST)?;
        let is_whole = in_all == found.len();
        let own = || found.iter().filter(|one| listener.takes(one.local));
        let clients: HashSet<IpAddr> = own().map(|one| one.client.ip().to_canonical()).collect();
        let aged = own().filter(|one| one.is_aged());
        Ok(HalfOpen {
            in_all: if is_whole { own().count() } else { in_all } as u32,
            aged: aged.clone().count() as u32,
            resent: aged.filter(|one| one.resent > 0).count() as u32,
            clients: clients.len() as u32,
        })
    }

    /// The processes that hold a socket.
    pub fn owner(&self, inode: u32) -> Arc<[Owner]> {
        self.owners().find(inode)
    }

    /// What is remembered of it, without a look.
    pub fn known_owner(&self, inode: u32) -> Arc<[Owner]> {
        self.owners().known(inode)
    }

    /// Looks for owners of sockets that are not known yet, in one scan for all of them, when one is due.
    pub fn learn(&self, inodes: impl IntoIterator<Item = u32>) {
        self.owners().learn(inodes);
    }

    /// Looks once, in one scan, for who holds each of these sockets; how many processes could not be looked at.
    pub fn learn_owners(&self, inodes: &HashSet<u32>) -> u32 {
        let mut owners = self.owners();
        owners.prime(inodes);
        owners.unreadable()
    }

    /// Searches every process, thread and open file once: for owners of these sockets, and for namespaces.
    pub fn search(&self, inodes: &HashSet<u32>) {
        let mut found = OpenFiles::search(inodes);
        self.namespaces().meet(&mut found);
        self.owners().meet(inodes, found);
    }

    /// Whose listener it is: the processes that hold it, and the cgroup it was made in.
    pub fn identity(&self, listener: &ListenerSnapshot) -> (Arc<[Owner]>, Option<Arc<Cgroup>>) {
        let owner = self.owner(listener.inode);
        let cgroup = self.cgroup(listener.cgroup_id, &owner);
        (owner, cgroup)
    }

    /// The cgroup that a socket was made in; where that is not known, or is the root, which says nothing, that of the first
    /// process that holds it.
    pub fn cgroup(&self, id: Option<u64>, owner: &[Owner]) -> Option<Arc<Cgroup>> {
        let mut names = self.names();
        let made_in = id.and_then(|id| names.cgroups.find(id));
        if made_in.as_ref().is_some_and(|cgroup| !cgroup.is_root()) {
            return made_in;
        }
        let of_owner = owner.first().and_then(|owner| names.cgroup_of(owner.pid));
        of_owner.or(made_in)
    }

    /// Where a process is now.
    pub fn cgroup_of_process(&self, pid: u32) -> Option<Arc<Cgroup>> {
        self.names().cgroups.of_process(pid)
    }

    /// Where cgroups are mounted.
    pub fn cgroup_mount(&self) -> Option<PathBuf> {
        self.names().cgroups.mount_point()
    }

    /// What a namespace is called.
    pub fn netns_name(&self, netns: u32) -> Option<Arc<NetnsName>> {
        let known = self.names().of_netns.get(&netns).cloned();
        if known.is_some() {
            return known;
        }
        let found = self.namespaces().called(netns);
        let name = Arc::new(found?);
        self.names().of_netns.insert(netns, Arc::clone(&name));
        Some(name)
    }

    /// What those of these namespaces are called that have a name.
    pub fn netns_names(&self, of: impl IntoIterator<Item = u32>) -> NetnsNames {
        let of: BTreeSet<u32> = of.into_iter().collect();
        of.into_iter()
            .filter_map(|netns| Some((netns, self.netns_name(netns)?)))
            .collect()
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Names {
    /// Forgets what may not be so any more.
    fn forget(&mut self, now: Instant) {
        if now.saturating_duration_since(self.since) >= FRESH {
            self.of_pids.clear();
            self.of_netns.clear();
            self.since = now;
        }
    }

    fn cgroup_of(&mut self, pid: u32) -> Option<Arc<Cgroup>> {
        if let Some(known) = self.of_pids.get(&pid) {
            return Some(Arc::clone(known));
        }
        let found = self.cgroups.of_process(pid)?;
        self.of_pids.insert(pid, Arc::clone(&found));
        Some(found)
    }
}

/// What a thread that panicked has left is as good as what it had found before.
fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
