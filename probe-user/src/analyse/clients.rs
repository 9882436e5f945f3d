//! To whom it happened: events come in, client addresses go out, those who were refused most first.

use std::{
    cmp::Reverse,
    net::{IpAddr, Ipv6Addr},
};

use foldhash::HashMap;

use crate::model::{TopClient, kind::Kind, observation::Observation};

/// Addresses that are remembered.
const AT_MOST: usize = 65_536;

/// Clients that are named.
const NAMED: usize = 5;

/// Who had a line.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// What was refused to each: by its IPv6 address, into which every IPv4 address is mapped.
    refused: HashMap<u128, u64>,
}

impl Clients {
    /// Counts an event that had a line.
    pub fn add(&mut self, seen: &Observation) {
        self.add_of_few(seen, AT_MOST);
    }

    /// The same, of so many addresses at most.
    pub fn add_of_few(&mut self, seen: &Observation, at_most: usize) {
        let Some(client) = seen.event.client else {
            return;
        };
        let client = bits(client.ip());
        let n = u64::from(is_harm(seen.event.kind));
        if let Some(refused) = self.refused.get_mut(&client) {
            *refused += n;
        } else if self.refused.len() < at_most {
            self.refused.insert(client, n);
        }
    }

    /// Adds those of another place.
    pub fn join(&mut self, other: Self) {
        for (client, n) in other.refused {
            *self.refused.entry(client).or_default() += n;
        }
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.refused.len()
    }

    /// All of them, whether anything was refused to them or not.
    pub fn all(&self) -> impl Iterator<Item = IpAddr> {
        self.refused.keys().map(|client| address(*client))
    }

    /// Those who were refused most, and how often.
    pub fn top(&self) -> Vec<TopClient> {
        let refused = self.refused.iter().filter(|(_, n)| **n > 0);
        let mut all: Vec<TopClient> = refused
            .map(|(addr, n)| TopClient {
                addr: address(*addr),
                refusals: *n,
            })
            .collect();
        all.sort_by_key(|one| (Reverse(one.refusals), one.addr));
        all.truncate(NAMED);
        all
    }
}

fn bits(client: IpAddr) -> u128 {
    match client {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(bits: u128) -> IpAddr {
    Ipv6Addr::from_bits(bits).to_canonical()
}

/// Whether somebody did not get what was asked for.
const fn is_harm(kind: Kind) -> bool {
    kind.is_refusal() || matches!(kind, Kind::Refused | Kind::PacketDrop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_whether_it_is_mapped_or_not() {
        let of = |text: &str| bits(text.parse().expect("an address"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        for text in ["0.0.0.0", "192.0.2.1", "::", "::1", "fd00::192.0.2.1"] {
            let expect: IpAddr = text.parse().expect("an address");
            assert_eq!(address(of(text)), expect);
        }
    }
}
