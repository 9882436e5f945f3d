//! Which events are shown. What is left out is still counted and reconciled.

mod any_of;
mod only;
mod value;
mod whose;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

pub use self::{only::Only, value::ClientFilter, whose::Whose};
use crate::{
    loader::Wanted,
    model::{cgroup::Cgroup, event::Event, observation::Observation, owner::Owner},
};

/// `ADDR:PORT` or `:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerFilter {
    addr: Option<IpAddr>,
    port: u16,
}

impl FromStr for ListenerFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a listener; write :8080, 10.0.0.1:8080 or [fd00::1]:8080");
        if let Some(port) = text.strip_prefix(':') {
            let port = port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(wrong)?;
            return Ok(Self { addr: None, port });
        }
        let addr: SocketAddr = text.parse().map_err(|_| wrong())?;
        if addr.port() == 0 {
            return Err(wrong());
        }
        let ip = addr.ip().to_canonical();
        Ok(Self {
            addr: (!ip.is_unspecified()).then_some(ip),
            port: addr.port(),
        })
    }
}

impl fmt::Display for ListenerFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.addr {
            Some(addr) => SocketAddr::new(addr, self.port).fmt(f),
            None => write!(f, ":{}", self.port),
        }
    }
}

impl ListenerFilter {
    fn takes(&self, addr: SocketAddr) -> bool {
        addr.port() == self.port
            && self
                .addr
                .is_none_or(|wanted| wanted == addr.ip().to_canonical())
    }

    /// The port that is asked for.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// As the kernel side is told of it.
    pub const fn wanted(&self) -> Wanted {
        (self.addr, self.port)
    }

    /// Whether a listener bound to `addr` can get packets for this filter.
    pub fn takes_listener(&self, addr: SocketAddr) -> bool {
        self.takes(addr) || addr.ip().is_unspecified() && addr.port() == self.port
    }
}

/// What to show.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Any of these; all where it is empty.
    pub listeners: Vec<ListenerFilter>,
    /// Only this namespace, by its inode number.
    pub netns: Option<u32>,
    /// Owners, causes and clients.
    pub only: Only,
}

impl Filter {
    /// As far as the event itself can tell; [`Filter::takes_observation`] has the last word.
    pub fn takes(&self, event: &Event) -> bool {
        if !self.takes_netns(event.netns) {
            return false;
        }
        if self.listeners.is_empty() {
            return true;
        }
        // Where the listener is known, it decides: so do the counts, which know nothing else.
        if let Some(listener) = event.listener {
            return self.takes_listener(listener.addr);
        }
        let ends = [event.local, event.remote];
        self.listeners
            .iter()
            .any(|filter| ends.iter().flatten().any(|addr| filter.takes(*addr)))
    }

    /// Which listeners are wanted, as the kernel side is told.
    pub fn wanted(&self) -> Vec<Wanted> {
        self.listeners.iter().map(ListenerFilter::wanted).collect()
    }

    /// Whether this namespace is the one that is wanted, or all are.
    pub fn takes_netns(&self, netns: u32) -> bool {
        self.netns.is_none_or(|only| only == netns)
    }

    /// Whether a listener bound to `addr` is among those wanted, or all are.
    pub fn takes_listener(&self, addr: SocketAddr) -> bool {
        self.listeners.is_empty() || self.listeners.iter().any(|f| f.takes_listener(addr))
    }

    /// With all that is known about it.
    pub fn takes_observation(&self, seen: &Observation) -> bool {
        self.only.takes(seen)
    }

    /// Whether a listener bound to `addr` that is theirs is among those wanted, or all are.
    pub fn takes_row(&self, addr: SocketAddr, owner: &[Owner], cgroup: Option<&Cgroup>) -> bool {
        self.takes_listener(addr) && self.only.takes_whose(owner, cgroup)
    }

    /// Whether only some listeners are wanted.
    pub const fn picks_listeners(&self) -> bool {
        !self.listeners.is_empty() || self.only.asks_whose()
    }

    /// Whether only some events of a namespace are wanted.
    pub const fn picks_events(&self) -> bool {
        !self.listeners.is_empty() || !self.only.is_empty()
    }

    /// What is asked for, in words, as the readiness line has it.
    pub fn in_words(&self) -> Vec<String> {
        let listeners = self.listeners.iter().map(|l| format!("listener {l}"));
        listeners
            .chain(self.only.in_words())
            .chain(self.netns.map(|netns| format!("namespace {netns}")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: &str, addr: &str, expect: bool) {
        let filter: ListenerFilter = filter.parse().expect("a filter");
        let addr: SocketAddr = addr.parse().expect("an address");
        assert_eq!(filter.takes(addr), expect, "{filter} on {addr}");
    }

    #[test]
    fn a_port_takes_every_address_and_an_address_only_itself() {
        check(":80", "10.0.0.1:80", true);
        check(":80", "10.0.0.1:81", false);
        check("10.0.0.1:80", "10.0.0.1:80", true);
        check("10.0.0.1:80", "[::ffff:10.0.0.1]:80", true);
        check("10.0.0.1:80", "10.0.0.2:80", false);
        check("0.0.0.0:80", "10.0.0.2:80", true);
        check("[fd00::1]:80", "[fd00::1]:80", true);
    }

    #[test]
    fn nonsense_gets_a_sentence() {
        for text in [
            "",
            ":",
            ":0",
            "80",
            "10.0.0.1",
            "10.0.0.1:0",
            ":99999",
            "localhost:80",
        ] {
            let error = text.parse::<ListenerFilter>().expect_err(text);
            assert!(error.contains("is not a listener"), "{error}");
        }
    }
}
