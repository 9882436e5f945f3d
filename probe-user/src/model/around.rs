//! What there is around a port that was asked about: where its connections are sent instead, and what became of those that
//! came.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{incident::Place, netns_name::NetnsName, owner::Owner};

/// One reading, before a watch or after it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Around {
    pub mono_ns: u64,
    /// The port that was asked about.
    pub port: u16,
    /// Where connections of the port are sent; `None` where no namespace could be asked.
    pub redirects: Option<Vec<Redirect>>,
    /// What became of its connections, in each namespace that was asked about.
    pub ends: Vec<Ends>,
    /// What could not be read, in sentences.
    pub unread: Vec<String>,
}

/// Connections to an address that come to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Redirect {
    pub netns: u32,
    pub netns_name: Option<Arc<NetnsName>>,
    pub how: How,
    /// Where clients connect.
    pub from: SocketAddr,
    /// Where that comes out.
    pub to: SocketAddr,
    /// How many are known: at least so many.
    pub connections: u64,
    /// Of these, whose SYN had no answer for a second.
    pub unanswered: u64,
    /// Who takes what is sent there.
    pub listeners: Vec<Taker>,
    /// Not everybody could be asked who may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unasked: bool,
}

/// A listener that takes connections of another address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taker {
    pub netns: u32,
    pub netns_name: Option<Arc<NetnsName>>,
    pub owner: Arc<[Owner]>,
    pub cookie: u64,
    pub addr: SocketAddr,
    pub accept_queue_len: u32,
    pub accept_queue_limit: u32,
    /// `sk_drops` at this reading.
    pub drops: Option<u32>,
    /// How much that has grown since the reading before; `None` where it was not read twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<u32>,
}

/// Who sends them there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Address translation, as the table of tracked connections has it.
    Translated,
    /// A listener with IP_TRANSPARENT takes connections of addresses that it is not bound to.
    Transparent,
}

/// Connections of a port by who has closed them first, and counters of the namespace beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ends {
    pub netns: u32,
    /// Open on both sides.
    pub open: u64,
    /// Closed by this side first: FIN_WAIT1, FIN_WAIT2, CLOSING, TIME_WAIT.
    pub closed_here: u64,
    /// Closed by the client first: CLOSE_WAIT, LAST_ACK.
    pub closed_there: u64,
    /// TCPAbortOnClose: closed with data that nobody has read, and so reset.
    pub aborted: Option<u64>,
    /// EmbryonicRsts: half-open requests that a reset has ended.
    pub half_open_reset: Option<u64>,
    /// Whom the owners of its listeners wait for themselves: connections in SYN_SENT.
    pub waits: Vec<Wait>,
    /// Connections of this namespace's own to the port.
    pub sources: Vec<Sources>,
    /// `net.ipv4.ip_local_port_range`.
    pub port_range: Option<(u16, u16)>,
    /// Ports of it that no connection gets (`net.ipv4.ip_local_reserved_ports`).
    #[serde(default)]
    pub reserved: u64,
}

/// Connections from one address of this host to one address and port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    pub from: IpAddr,
    pub to: SocketAddr,
    /// Source ports of the range that they have.
    pub taken: u64,
    /// Of these, in TIME_WAIT.
    pub time_wait: u64,
    /// Whether those may be taken again after a second (`net.ipv4.tcp_tw_reuse`); `None` where that is not known.
    pub reuses: Option<bool>,
}

impl Sources {
    /// Source ports that another connection cannot have.
    pub fn held(&self) -> u64 {
        match self.reuses {
            Some(false) => self.taken,
            Some(true) | None => self.taken.saturating_sub(self.time_wait),
        }
    }
}

impl Ends {
    /// How many source ports there are for one destination.
    pub fn ports(&self) -> Option<u64> {
        let (low, high) = self.port_range?;
        let all = u64::from(high).saturating_sub(low.into()) + 1;
        Some(all.saturating_sub(self.reserved))
    }

    /// Those that have taken every source port.
    pub fn exhausted(&self) -> impl Iterator<Item = &Sources> {
        let ports = self.ports();
        let all = self.sources.iter();
        all.filter(move |one| ports.is_some_and(|ports| one.held() >= ports))
    }
}

/// Connections that a process of this host makes, and that have no answer yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    pub comm: String,
    pub pid: u32,
    pub to: SocketAddr,
    pub connections: u64,
    /// Whose SYN was sent again.
    pub resent: u64,
}

impl Taker {
    pub const fn is_over_its_limit(&self) -> bool {
        self.accept_queue_len > self.accept_queue_limit
    }
}

impl Redirect {
    pub const fn place(&self) -> Place {
        Place {
            netns: self.netns,
            addr: self.from,
        }
    }

    /// Where whoever takes its connections is asked about.
    pub const fn reaches(&self, taker: &Taker) -> SocketAddr {
        match self.how {
            How::Translated => self.to,
            How::Transparent => taker.addr,
        }
    }

    /// Whether anybody was refused there, as far as is known.
    pub fn is_refused(&self) -> bool {
        let refuses = |taker: &Taker| taker.refused.is_some_and(|n| n > 0);
        self.listeners.iter().any(refuses)
    }

    /// Whether anything is wrong with it. Who takes what is translated may have refused others, who came to it directly.
    pub fn is_troubled(&self) -> bool {
        let is_full = |taker: &Taker| taker.is_over_its_limit();
        match self.how {
            How::Translated => self.unanswered > 0,
            How::Transparent => self.is_refused() || self.listeners.iter().any(is_full),
        }
    }
}

impl Around {
    /// Adds what has grown since the reading before.
    pub fn since(mut self, before: &Self) -> Self {
        let takers = before.redirects.iter().flatten();
        let takers = takers.flat_map(|redirect| &redirect.listeners);
        let known: BTreeMap<(u32, u64), Option<u32>> = takers
            .map(|taker| ((taker.netns, taker.cookie), taker.drops))
            .collect();
        let all = self.redirects.iter_mut().flatten();
        for taker in all.flat_map(|redirect| &mut redirect.listeners) {
            let then = known.get(&(taker.netns, taker.cookie)).copied().flatten();
            // It wraps at 32 bits.
            let both = taker.drops.zip(then);
            taker.refused = both.map(|(now, then)| now.wrapping_sub(then));
        }
        self
    }
}

impl Taker {
    /// So that `--netns` finds it again, by its number where it has no name.
    pub fn netns_argument(&self) -> String {
        match self.netns_name.as_deref() {
            Some(NetnsName::Given(name)) => format!(" --netns {name}"),
            Some(NetnsName::Process { pid, .. }) => format!(" --netns {pid}"),
            None => format!(" --netns {}", self.netns),
        }
    }
}
