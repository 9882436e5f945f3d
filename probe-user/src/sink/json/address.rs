//! Addresses, as `ADDR:PORT` and in their two parts.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::Serialize;

/// Of a socket.
#[derive(Serialize, JsonSchema)]
pub(crate) struct At {
    addr: SocketAddr,
    ip: IpAddr,
    port: u16,
}

impl From<SocketAddr> for At {
    fn from(addr: SocketAddr) -> Self {
        Self {
            addr,
            ip: addr.ip(),
            port: addr.port(),
        }
    }
}

/// The same where it may not be known.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AtOrNull {
    addr: Option<SocketAddr>,
    ip: Option<IpAddr>,
    port: Option<u16>,
}

impl From<Option<SocketAddr>> for AtOrNull {
    fn from(addr: Option<SocketAddr>) -> Self {
        Self {
            addr,
            ip: addr.map(|addr| addr.ip()),
            port: addr.map(|addr| addr.port()),
        }
    }
}

/// Who attempted a connection, and this host's end of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Ends {
    client: SocketAddr,
    client_addr: IpAddr,
    client_port: u16,
    local: SocketAddr,
    local_addr: IpAddr,
    local_port: u16,
}

impl Ends {
    pub(super) fn of(client: SocketAddr, local: SocketAddr) -> Self {
        Self {
            client,
            client_addr: client.ip(),
            client_port: client.port(),
            local,
            local_addr: local.ip(),
            local_port: local.port(),
        }
    }
}

/// The same where neither is known.
#[derive(Default, Serialize, JsonSchema)]
pub(super) struct NoEnds {
    client: (),
    client_addr: (),
    client_port: (),
    local: (),
    local_addr: (),
    local_port: (),
}
