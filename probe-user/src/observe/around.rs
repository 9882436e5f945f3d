//! What there is around a port that was asked about, before a watch and after it: where its connections are sent instead, who
//! closes those that came, whom its owners wait for themselves, and whether clients of this host have source ports left.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt::Display,
    net::{IpAddr, SocketAddr},
};

use crate::{
    filter::ListenerFilter,
    host::{
        Host,
        clock::mono_ns,
        diag::{Diag, DiagError},
        netns, netstat, route, sysctl, translated,
    },
    model::{
        Now,
        around::{Around, Ends, How, Redirect, Sources, Taker, Wait},
        socket::{EndSnapshot, ListenerSnapshot},
    },
};

/// Namespaces whose tables of connections are read, where all were asked about.
const TABLES_AT_MOST: usize = 64;

/// Namespaces whose connections are counted: the kernel walks all of its own for each.
const NAMESPACES_AT_MOST: usize = 16;

/// Listeners that are named for one address.
const TAKERS_AT_MOST: usize = 4;

/// Addresses that are told apart, and connections without an answer whose owner is looked for.
const AT_MOST: usize = 256;

/// Sources of connections that are told of, the most first.
const SOURCES_AT_MOST: usize = 4;

/// What there is around this port, of which those listeners are known; `since_ns` is when it was first asked.
pub fn around(target: ListenerFilter, now: &Now, host: &mut Host, since_ns: Option<u64>) -> Around {
    let within = since_ns.map(|since| mono_ns().saturating_sub(since).div_ceil(1_000_000_000));
    let mut looking = Looking {
        within: within.and_then(|seconds| u32::try_from(seconds).ok()),
        target,
        now,
        host,
        unread: Vec::new(),
    };
    let mut near: BTreeSet<u32> = now.listeners.iter().map(|one| one.netns).collect();
    near.extend(now.only.or_else(|| netns::current().ok()));
    let near: Vec<u32> = near.into_iter().take(NAMESPACES_AT_MOST).collect();
    let mut redirects = looking.translated(&near);
    let mut ends = Vec::new();
    for netns in near {
        let Some((of_netns, strangers)) = looking.ends(netns) else {
            continue;
        };
        ends.push(of_netns);
        let transparent = looking.transparent(netns, &strangers);
        if !transparent.is_empty() {
            redirects.get_or_insert_default().extend(transparent);
        }
    }
    Around {
        mono_ns: mono_ns(),
        port: target.port(),
        redirects,
        ends,
        unread: looking.unread,
    }
}

/// Connections by an address of this end that no listener of the port takes: how many, and how many of them are half-open.
type Strangers = BTreeMap<SocketAddr, (u64, u64)>;

struct Looking<'a> {
    target: ListenerFilter,
    now: &'a Now,
    host: &'a mut Host,
    /// Seconds of the watch.
    within: Option<u32>,
    unread: Vec<String>,
}

impl Looking<'_> {
    fn note<T>(&mut self, netns: u32, what: &str, read: Result<T, impl Display>) -> Option<T> {
        let failed = |error| {
            self.unread.push(format!(
                "{what} of netns {netns} could not be read: {error}"
            ));
        };
        read.map_err(failed).ok()
    }

    /// `None` where no table could be read.
    fn translated(&mut self, near: &[u32]) -> Option<Vec<Redirect>> {
        let mut namespaces = near.to_vec();
        if self.now.only.is_none() {
            let all: Vec<u32> = self.host.namespaces().iter().collect();
            namespaces.extend(all.into_iter().filter(|netns| !near.contains(netns)));
            namespaces.truncate(TABLES_AT_MOST);
        }
        let mut found: Option<Vec<Redirect>> = None;
        for netns in namespaces {
            let ways = {
                let mut registry = self.host.namespaces();
                translated::of_port(&mut registry, netns, self.target.port(), self.within)
            };
            let ways = match ways {
                Ok(ways) => ways.unwrap_or_default(),
                Err(sentence) => {
                    self.unread.push(sentence);
                    continue;
                }
            };
            let all = found.get_or_insert_default();
            for ((from, to), counted) in ways {
                if self.target.takes(from) {
                    all.push(Redirect {
                        netns,
                        netns_name: self.host.netns_name(netns),
                        how: How::Translated,
                        from,
                        to,
                        connections: counted.connections,
                        unanswered: counted.unanswered,
                        listeners: Vec::new(),
                        unasked: false,
                    });
                }
            }
        }
        for redirect in found.iter_mut().flatten() {
            (redirect.listeners, redirect.unasked) = self.takers(redirect.netns, redirect.to);
        }
        found
    }

    /// Whoever takes what is sent to this address: in this namespace, or in one that has the address; and whether one of these
    /// could not be asked.
    fn takers(&mut self, netns: u32, to: SocketAddr) -> (Vec<Taker>, bool) {
        let mut namespaces = vec![netns];
        if !to.ip().is_loopback() {
            let all: Vec<u32> = self.host.namespaces().iter().collect();
            namespaces.extend(all.into_iter().filter(|other| *other != netns));
        }
        let (mut takers, mut unasked) = (Vec::new(), false);
        for netns in namespaces {
            let listeners = self.host.listeners_if_there(netns, to.port());
            let Some(listeners) = self.note(netns, "the listeners", listeners) else {
                unasked = true;
                continue;
            };
            let takes = listeners.into_iter().filter(|one| one.takes(to));
            for listener in takes {
                let is_there = route::is_local(&mut self.host.namespaces(), netns, to.ip());
                let is_there = self.note(netns, "whose the address is", is_there);
                unasked |= is_there.is_none();
                if is_there == Some(true) && takers.len() < TAKERS_AT_MOST {
                    takers.push(self.taker(netns, listener));
                }
            }
        }
        (takers, unasked)
    }

    fn taker(&self, netns: u32, snapshot: ListenerSnapshot) -> Taker {
        let (owner, _) = self.host.identity(&snapshot);
        Taker {
            netns,
            netns_name: self.host.netns_name(netns),
            owner,
            cookie: snapshot.cookie,
            addr: snapshot.addr,
            accept_queue_len: snapshot.accept_queue_len,
            accept_queue_limit: snapshot.accept_queue_limit,
            drops: snapshot.drops,
            refused: None,
        }
    }

    /// Connections of the port, and those that none of its listeners takes.
    fn ends(&mut self, netns: u32) -> Option<(Ends, Strangers)> {
        let port = self.target.port();
        let mut found = Ends {
            netns,
            ..Ends::default()
        };
        let now = self.now;
        let known = now.listeners.iter().chain(&now.elsewhere);
        let known: Vec<&ListenerSnapshot> = known
            .filter(|one| one.netns == netns)
            .map(|one| &one.snapshot)
            .collect();
        let mut strangers = Strangers::new();
        let mut each = |end: EndSnapshot| {
            match end.state {
                "ESTABLISHED" => found.open += 1,
                "FIN_WAIT1" | "FIN_WAIT2" | "CLOSING" | "TIME_WAIT" => found.closed_here += 1,
                "CLOSE_WAIT" | "LAST_ACK" => found.closed_there += 1,
                _ => {}
            }
            let is_half_open = matches!(end.state, "SYN_RECV" | "NEW_SYN_RECV");
            // Whose client has gone is still in the queue of whoever takes it.
            let is_live = is_half_open || matches!(end.state, "ESTABLISHED" | "CLOSE_WAIT");
            let is_known = known.iter().any(|one| one.takes(end.local));
            let has_room = strangers.len() < AT_MOST || strangers.contains_key(&end.local);
            if is_live && !is_known && has_room {
                let (all, half_open) = strangers.entry(end.local).or_default();
                *all += 1;
                *half_open += u64::from(is_half_open);
            }
        };
        let asked = self.host.diag(netns);
        let asked = asked.and_then(|diag| diag.ends((port, 0), &mut each));
        if asked.as_ref().is_err_and(DiagError::is_gone) {
            return None;
        }
        self.note(netns, "the connections", asked)?;
        strangers.retain(|addr, _| self.target.takes(*addr));
        let counters = netstat::read_tcp_ext(&mut self.host.namespaces(), netns);
        if let Some(counters) = self.note(netns, "the counters", counters) {
            found.aborted = counters.get("TCPAbortOnClose");
            found.half_open_reset = counters.get("EmbryonicRsts");
        }
        found.waits = self.waits(netns);
        self.sources(&mut found);
        Some((found, strangers))
    }

    /// Whom the owners of its listeners wait for themselves.
    fn waits(&mut self, netns: u32) -> Vec<Wait> {
        let now = self.now.listeners.iter().filter(|one| one.netns == netns);
        let pids: HashSet<u32> = now
            .flat_map(|one| one.owner.iter().map(|owner| owner.pid))
            .collect();
        if pids.is_empty() {
            return Vec::new();
        }
        let mut made: Vec<(u32, EndSnapshot)> = Vec::new();
        let mut each = |end: EndSnapshot| {
            let inode = end.inode.filter(|_| made.len() < AT_MOST);
            made.extend(inode.map(|inode| (inode, end)));
        };
        let asked = self.host.diag(netns);
        let asked = asked.and_then(|diag| diag.unanswered(&mut each));
        if self.note(netns, "the connections", asked).is_none() || made.is_empty() {
            return Vec::new();
        }
        let inodes: HashSet<u32> = made.iter().map(|(inode, _)| *inode).collect();
        self.host.search(&inodes);
        let mut waits: BTreeMap<(u32, SocketAddr), Wait> = BTreeMap::new();
        for (inode, end) in made {
            let owners = self.host.known_owner(inode);
            let Some(owner) = owners.iter().find(|owner| pids.contains(&owner.pid)) else {
                continue;
            };
            let wait = waits
                .entry((owner.pid, end.remote))
                .or_insert_with(|| Wait {
                    comm: owner.comm.clone(),
                    pid: owner.pid,
                    to: end.remote,
                    connections: 0,
                    resent: 0,
                });
            wait.connections += 1;
            wait.resent += u64::from(end.resent > 0);
        }
        waits.into_values().take(AT_MOST).collect()
    }

    /// Connections that this namespace makes to the port, by where they come from and go to.
    fn sources(&mut self, found: &mut Ends) {
        let netns = found.netns;
        let mut registry = self.host.namespaces();
        let range = sysctl::pair(&mut registry, netns, "ipv4/ip_local_port_range");
        let reuse = sysctl::read(&mut registry, netns, ["ipv4/tcp_tw_reuse"]);
        let reserved = sysctl::ranges(&mut registry, netns, "ipv4/ip_local_reserved_ports");
        drop(registry);
        let range = self.note(netns, "ip_local_port_range", range).flatten();
        let reuse = self.note(netns, "tcp_tw_reuse", reuse);
        let reuse = reuse.and_then(|[reuse]| reuse);
        found.port_range = range
            .and_then(|(low, high)| Some((u16::try_from(low).ok()?, u16::try_from(high).ok()?)));
        let reserved = self.note(netns, "ip_local_reserved_ports", reserved);
        let (Some((low, high)), Some(reserved)) = (found.port_range, reserved.flatten()) else {
            found.port_range = None;
            return;
        };
        let is_free = |port: &u16| {
            !reserved
                .iter()
                .any(|(from, to)| (from..=to).contains(&port))
        };
        found.reserved = (low..=high).filter(|port| !is_free(port)).count() as u64;
        let mut ports: HashMap<(IpAddr, SocketAddr), (HashSet<u16>, HashSet<u16>)> = HashMap::new();
        let mut each = |end: EndSnapshot| {
            let port = end.local.port();
            if !(low..=high).contains(&port) || !is_free(&port) {
                return;
            }
            let (taken, waiting) = ports.entry((end.local.ip(), end.remote)).or_default();
            taken.insert(end.local.port());
            if end.state == "TIME_WAIT" {
                waiting.insert(end.local.port());
            }
        };
        let asked = self.host.diag(netns);
        let asked = asked.and_then(|diag| diag.ends((0, self.target.port()), &mut each));
        if self.note(netns, "the connections", asked).is_none() {
            // Some of them are no answer to whether all ports are taken.
            found.port_range = None;
            return;
        }
        let all = ports
            .into_iter()
            .filter(|((_, to), _)| self.target.takes(*to));
        let mut all: Vec<Sources> = all
            .map(|((from, to), (taken, waiting))| Sources {
                from,
                to,
                taken: taken.len() as u64,
                time_wait: waiting.len() as u64,
                // 1: of all connections; 2: of those over loopback (net/ipv4/tcp_ipv4.c:tcp_twsk_unique).
                reuses: reuse.map(|reuse| reuse == 1 || reuse == 2 && to.ip().is_loopback()),
            })
            .collect();
        all.sort_by_key(|one| (std::cmp::Reverse(one.taken), one.from, one.to));
        all.truncate(SOURCES_AT_MOST);
        found.sources = all;
    }

    /// Connections to addresses that nobody is bound to belong to a listener with IP_TRANSPARENT, where there is one.
    fn transparent(&mut self, netns: u32, strangers: &Strangers) -> Vec<Redirect> {
        if strangers.is_empty() {
            return Vec::new();
        }
        let asked = self.host.diag(netns).and_then(Diag::transparent);
        let listeners = self.note(netns, "the listeners", asked).unwrap_or_default();
        let takers: Vec<Taker> = listeners
            .into_iter()
            .filter(|one| one.addr.port() != self.target.port())
            .take(TAKERS_AT_MOST)
            .map(|one| self.taker(netns, one))
            .collect();
        let Some(to) = takers.first().map(|first| first.addr) else {
            return Vec::new();
        };
        let name = self.host.netns_name(netns);
        let redirect = |(from, (connections, _)): (&SocketAddr, &(u64, u64))| Redirect {
            netns,
            netns_name: name.clone(),
            how: How::Transparent,
            from: *from,
            to,
            connections: *connections,
            unanswered: 0,
            listeners: takers.clone(),
            unasked: false,
        };
        strangers.iter().map(redirect).collect()
    }
}
