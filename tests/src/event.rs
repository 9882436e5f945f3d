//! One line of whydrop's JSON, read by the names that are fixed in
//! docs/output.md.

use std::fmt;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::netns::Netns;
use crate::sockaddr::unmapped;

#[derive(Clone, Debug)]
pub struct Event(pub Value);

impl Event {
    pub fn kind(&self) -> &str {
        self.0["kind"].as_str().unwrap_or_default()
    }

    pub fn stage(&self) -> Option<&str> {
        self.0["stage"].as_str()
    }

    pub fn cause(&self) -> Option<&str> {
        self.0["cause"].as_str()
    }

    pub fn is(&self, kind: &str) -> bool {
        self.kind() == kind
    }

    pub fn netns(&self) -> Option<u64> {
        self.0["netns"].as_u64()
    }

    pub fn tier(&self) -> &str {
        self.0["tier"].as_str().unwrap_or_default()
    }

    /// The client; an IPv4-mapped address counts as the IPv4 one.
    pub fn client(&self) -> Option<SocketAddr> {
        self.address(&["client"])
    }

    /// The other end, where it is not the client.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.address(&["remote"])
    }

    pub fn local(&self) -> Option<SocketAddr> {
        self.address(&["local"])
    }

    pub fn listener_address(&self) -> Option<SocketAddr> {
        self.0["listener"]["addr"].as_str()?.parse().ok()
    }

    pub fn listener_cookie(&self) -> Option<u64> {
        cookie(&self.0["listener"]["cookie"])
    }

    pub fn snapshot_cookie(&self) -> Option<u64> {
        cookie(&self.0["snapshot"]["cookie"])
    }

    /// The listener that was there until shortly before a refusal.
    pub fn closed_cookie(&self) -> Option<u64> {
        cookie(&self.0["closed"]["cookie"])
    }

    pub fn closed_address(&self) -> Option<SocketAddr> {
        self.0["closed"]["addr"].as_str()?.parse().ok()
    }

    /// Address and namespace of the listeners that a refusal names instead.
    pub fn elsewhere(&self) -> Vec<(Option<SocketAddr>, Option<u64>)> {
        let listeners = self.0["elsewhere"].as_array().into_iter().flatten();
        let place = |listener: &Value| {
            let address = listener["addr"].as_str().and_then(|text| text.parse().ok());
            (address, listener["netns"].as_u64())
        };
        listeners.map(place).collect()
    }

    /// A number below `listener` or `snapshot`.
    pub fn number(&self, object: &str, name: &str) -> Result<u64> {
        self.0[object][name]
            .as_u64()
            .with_context(|| format!("no {object}.{name} in {self}"))
    }

    /// Process and name of everyone who holds the listener.
    pub fn owners(&self) -> Vec<(u64, String)> {
        let owners = self.0["owner"].as_array().into_iter().flatten();
        owners
            .filter_map(|owner| Some((owner["pid"].as_u64()?, owner["comm"].as_str()?.to_owned())))
            .collect()
    }

    /// The processes alone, in ascending order.
    pub fn owner_pids(&self) -> Vec<u64> {
        let mut pids: Vec<u64> = self.owners().into_iter().map(|(pid, _)| pid).collect();
        pids.sort_unstable();
        pids
    }

    fn address(&self, path: &[&str]) -> Option<SocketAddr> {
        let value = path.iter().fold(&self.0, |value, name| &value[*name]);
        Some(unmapped(value.as_str()?.parse().ok()?))
    }
}

/// Overflows in this namespace.
pub fn overflow_in(netns: &Netns) -> impl Fn(&Event) -> bool + use<> {
    let inum = netns.inum();
    move |event| event.is("overflow") && event.netns() == Some(inum)
}

impl fmt::Display for Event {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

fn cookie(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}
