//! The three ways in which a packet meets a listener, and the addresses of the
//! test wire for each. They exist only inside a test's own namespace.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
    /// IPv4 packets to a dual-stack `[::]` listener.
    Mapped,
}

pub const LOCAL_V4: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
pub const LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1);

impl Family {
    pub const ALL: [Self; 3] = [Self::V4, Self::V6, Self::Mapped];

    /// So many clients have an address of their own.
    pub const CLIENTS: u16 = 40_000;

    /// The address on the wire that clients send to.
    pub fn local(self) -> IpAddr {
        match self {
            Self::V4 | Self::Mapped => LOCAL_V4.into(),
            Self::V6 => LOCAL_V6.into(),
        }
    }

    /// The address to which a listener binds.
    pub fn bind(self) -> IpAddr {
        match self {
            Self::V4 | Self::V6 => self.local(),
            Self::Mapped => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// The loopback address over which a real client reaches a listener that
    /// is bound to the wildcard address.
    pub fn loopback(self) -> IpAddr {
        match self {
            Self::V4 | Self::Mapped => Ipv4Addr::LOCALHOST.into(),
            Self::V6 => Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// The n-th client, somewhere on the wire's network.
    pub fn client(self, n: u16) -> SocketAddr {
        let [high, low] = (256 + n).to_be_bytes();
        let address = match self {
            Self::V4 | Self::Mapped => Ipv4Addr::new(10, 99, high, low).into(),
            Self::V6 => Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 1, n).into(),
        };
        SocketAddr::new(address, 20_000 + n % Self::CLIENTS)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
            Self::Mapped => "IPv4-mapped",
        })
    }
}
