//! Where the listener is, or should be: from what was asked for to what is there now.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use super::host_facts;
use crate::{
    filter::ListenerFilter,
    host::{
        Host, accepted,
        clock::{self, mono_ns},
        kernel_log, netns,
        unread::Unread,
    },
    model::{
        HostFacts, Listening, Now,
        flood::{Said, may_be_about},
        socket::ListenerSnapshot,
    },
};

/// Lines of the kernel's log that are shown.
const LOG_LINES_AT_MOST: usize = 3;

/// Namespaces that are asked what they say, beside that of the first listener.
const NAMESPACES_AT_MOST: usize = 64;

/// Of so many looks one is at every namespace.
const WIDE_EVERY: u32 = 20;

/// A port, and an address of it.
#[derive(Clone, Copy, Debug)]
pub struct Target(ListenerFilter);

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Target {
    /// The listeners that it names.
    pub const fn filter(&self) -> ListenerFilter {
        self.0
    }

    /// Its listeners in these namespaces.
    pub fn listeners(&self, namespaces: &[u32], host: &mut Host) -> Vec<(u32, ListenerSnapshot)> {
        // A look that fails is one less.
        let (mut all, _) = self.on_port(namespaces, host);
        all.retain(|(_, listener)| self.0.takes_listener(listener.addr));
        all
    }

    /// For the looks during a watch: of this namespace, or else where some were found before.
    pub fn again(
        &self,
        look: u32,
        only: Option<u32>,
        found: Vec<u32>,
        host: &mut Host,
    ) -> Vec<(u32, ListenerSnapshot)> {
        let places = match only {
            Some(netns) => vec![netns],
            // A host may have a thousand namespaces: most looks are at those where somebody listens.
            None if look.is_multiple_of(WIDE_EVERY) => {
                host.namespaces().refresh();
                host.namespaces().iter().collect()
            }
            None => found,
        };
        self.listeners(&places, host)
    }

    /// Whoever listens on the port, and why some namespaces could not be asked.
    fn on_port(
        &self,
        namespaces: &[u32],
        host: &mut Host,
    ) -> (Vec<(u32, ListenerSnapshot)>, Unread) {
        let port = self.0.port();
        let mut found = Vec::new();
        let mut unasked = Unread::default();
        for netns in namespaces {
            let asked = host.listeners_if_there(*netns, port);
            let listeners = unasked.note(asked).unwrap_or_default();
            found.extend(listeners.into_iter().map(|listener| (*netns, listener)));
        }
        (found, unasked)
    }

    /// What is there now, and what the namespaces of its listeners say, that of the first one first.
    pub fn look(&self, only: Option<u32>, host: &mut Host) -> (Now, Vec<HostFacts>) {
        let namespaces: Vec<u32> = match only {
            Some(netns) => vec![netns],
            None => host.namespaces().iter().collect(),
        };
        let (all, mut unasked) = self.on_port(&namespaces, host);
        unasked.registry(&host.namespaces());
        let mut now = Now {
            mono_ns: mono_ns(),
            target: self.to_string(),
            only,
            unasked: unasked.into_sentences(),
            ..Now::default()
        };
        for (netns, listener) in all {
            let (owner, cgroup) = host.identity(&listener);
            let listening = Listening {
                netns,
                netns_name: host.netns_name(netns),
                owner,
                cgroup,
                snapshot: listener,
            };
            if self.0.takes_listener(listening.snapshot.addr) {
                now.listeners.push(listening);
            } else {
                now.elsewhere.push(listening);
            }
        }
        let own = || only.or_else(|| netns::current().ok()).unwrap_or(0);
        now.netns = now.listeners.first().map_or_else(own, |first| first.netns);
        let places: BTreeSet<u32> = now.listeners.iter().map(|one| one.netns).collect();
        let others = places.into_iter().filter(|netns| *netns != now.netns);
        let all: Vec<HostFacts> = std::iter::once(now.netns)
            .chain(others.take(NAMESPACES_AT_MOST))
            .map(|netns| host_facts(netns, host))
            .collect();
        if let [first, others @ ..] = all.as_slice() {
            now.sysctls = first.sysctls;
            now.others = others.to_vec();
        }
        now.unread = all.iter().flat_map(|facts| facts.unread.clone()).collect();
        now.kernel_log = self.floods(&now);
        (now, all)
    }

    /// What the kernel's log says of floods at these listeners: nothing of before whoever holds them was started.
    fn floods(&self, now: &Now) -> Vec<String> {
        let bound: Vec<IpAddr> = now
            .listeners
            .iter()
            .map(|one| one.snapshot.addr.ip())
            .collect();
        let owners = || now.listeners.iter().flat_map(|one| one.owner.iter());
        let ages: Option<Vec<Duration>> = owners().map(|owner| accepted::age(owner.pid)).collect();
        let oldest = ages.and_then(|ages| ages.into_iter().max());
        let since_ns = oldest.map_or(0, |age| now.mono_ns.saturating_sub(age.as_nanos() as u64));
        let mut said = kernel_log::syn_floods();
        said.retain(|one| {
            one.mono_ns >= since_ns && may_be_about(&one.says, self.0.port(), &bound)
        });
        let clock = clock::wall();
        let newest = said.split_off(said.len().saturating_sub(LOG_LINES_AT_MOST));
        let told = newest.into_iter().map(|Said { mono_ns, says }| {
            let ago = Duration::from_nanos(now.mono_ns.saturating_sub(mono_ns));
            format!(
                "{:#} UTC, {} before, of any namespace: {says}",
                clock.at(mono_ns),
                long(ago)
            )
        });
        told.collect()
    }

    /// Where a client would connect to.
    pub fn address(&self, now: &Now) -> Option<SocketAddr> {
        if let Some(addr) = self.0.addr() {
            return Some(SocketAddr::new(addr, self.0.port()));
        }
        let mut addr = now.listeners.first()?.snapshot.addr;
        if addr.ip().is_unspecified() {
            addr.set_ip(match addr {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        Some(addr)
    }
}

/// As people say it: the two largest units would be more than is known of its use.
fn long(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
