//! To whom it happened: events come in, client addresses go out, those who were refused most first.

use std::{cmp::Reverse, net::IpAddr};

use foldhash::HashMap;

use crate::model::{TopClient, kind::Kind, observation::Observation};

/// Addresses that are remembered.
const AT_MOST: usize = 65_536;

/// Clients that are named.
const NAMED: usize = 5;

/// Who had a line.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// What was refused to each.
    refused: HashMap<IpAddr, u64>,
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
        let client = client.ip().to_canonical();
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
        self.refused.keys().copied()
    }

    /// Those who were refused most, and how often.
    pub fn top(&self) -> Vec<TopClient> {
        let refused = self.refused.iter().filter(|(_, n)| **n > 0);
        let mut all: Vec<TopClient> = refused
            .map(|(addr, n)| TopClient {
                addr: *addr,
                refusals: *n,
            })
            .collect();
        all.sort_by_key(|one| (Reverse(one.refusals), one.addr));
        all.truncate(NAMED);
        all
    }
}

/// Whether somebody did not get what was asked for.
const fn is_harm(kind: Kind) -> bool {
    kind.is_refusal() || matches!(kind, Kind::Refused | Kind::PacketDrop)
}
