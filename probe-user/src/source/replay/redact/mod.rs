//! A recording without its clients: each address that is not known to be this host's own becomes another one, the same
//! for the same, made by a keyed hash whose key is thrown away.
//!
//! Lines are read twice. First it is learnt which addresses are clients and which are this host's own, by the names of
//! members; then every string of every line is looked through, whatever member it is of. So a member that a later
//! version adds, and an address in a sentence or in the name of a unit, is not forgotten: an address that nobody has
//! learnt of is replaced.

mod find;
mod strings;

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde_json::Value;

use find::Place;
use strings::Literal;

use super::{PartId, identify};

/// Members that hold an address of this host, unless they are of a client.
const OWN: [&str; 3] = ["local", "listener", "addr"];

/// Members whose text never is an address.
const NEVER: [&str; 4] = ["kernel", "version", "ts", "utc"];

/// Clients' addresses become some of 240.0.0.0/4, which nobody has (RFC 1112, section 4).
const IPV4: (u32, u32) = (0xF000_0000, 0x0FFF_FFFF);

/// And of 100::/64, to which nothing can be sent (RFC 6666).
const IPV6: u128 = 0x0100 << 112;

/// Which client is whom.
#[derive(Debug, Default)]
pub struct Redaction {
    /// With a key of its own, which nobody keeps.
    hash: RandomState,
    clients: HashSet<IpAddr>,
    own: HashSet<IpAddr>,
    names: HashMap<IpAddr, IpAddr>,
    taken: HashSet<IpAddr>,
}

impl Redaction {
    /// A line, to be called with all of them before the first is replaced.
    pub fn learn(&mut self, line: &[u8]) {
        if let Ok(value) = serde_json::from_slice(line) {
            self.learn_from(&value, None);
        }
    }

    fn learn_from(&mut self, value: &Value, role: Option<Role>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let of_name = if role == Some(Role::Client) || name.contains("client") {
                        Some(Role::Client)
                    } else {
                        OWN.contains(&&**name).then_some(Role::Own)
                    };
                    self.learn_from(value, of_name);
                }
            }
            Value::Array(values) => {
                for value in values {
                    self.learn_from(value, role);
                }
            }
            Value::String(text) => {
                let known = match role {
                    Some(Role::Client) => &mut self.clients,
                    Some(Role::Own) => &mut self.own,
                    None => return,
                };
                find::replace(text, |addr, _| {
                    known.insert(addr.to_canonical());
                    None
                });
            }
            _ => {}
        }
    }

    /// How many addresses were replaced.
    pub fn replaced(&self) -> usize {
        self.names.len()
    }

    /// The line, without its clients and without what follows `--` in a command line.
    pub fn replace(&mut self, line: &str) -> String {
        let mut is_command = false;
        strings::rewrite(line, |literal: &Literal<'_>| {
            if literal.is_name || literal.member != "command" {
                is_command = false;
            } else if is_command {
                return Some("…".to_owned());
            } else {
                is_command = literal.text == "--";
            }
            if !literal.is_name && NEVER.contains(&literal.member) {
                return None;
            }
            match find::replace(&literal.text, |addr, place| self.instead(addr, place)) {
                std::borrow::Cow::Borrowed(_) => None,
                std::borrow::Cow::Owned(new) => Some(new),
            }
        })
    }

    /// The first line of a part, which has a name for its recording, too: the copy is another one.
    pub fn replace_start(&mut self, line: &str) -> String {
        let new = self.replace(line);
        match identify(line.as_bytes()) {
            Some(PartId { recording, .. }) if is_id(&recording) => {
                new.replace(&recording, &self.id(&recording))
            }
            _ => new,
        }
    }

    fn id(&self, of: &str) -> String {
        let (first, second) = (self.hash.hash_one((of, 1)), self.hash.hash_one((of, 2)));
        format!("{first:016x}{second:016x}")
    }

    /// What stands for an address; nothing where it stays.
    fn instead(&mut self, addr: IpAddr, place: Place) -> Option<IpAddr> {
        let of = addr.to_canonical();
        if of.is_loopback() || of.is_unspecified() {
            return None;
        }
        let is_client = self.clients.contains(&of);
        let is_word = place == Place::InWord && of.is_ipv6();
        if !is_client && (is_word || self.own.contains(&of)) {
            return None;
        }
        let name = self.name(of);
        Some(match (addr, name) {
            // An IPv4 address as IPv6 has it stays one.
            (IpAddr::V6(_), IpAddr::V4(name)) => name.to_ipv6_mapped().into(),
            _ => name,
        })
    }

    fn name(&mut self, of: IpAddr) -> IpAddr {
        if let Some(name) = self.names.get(&of) {
            return *name;
        }
        let mut tries = 0_u64;
        let name = loop {
            let hash = self.hash.hash_one((of, tries));
            let name = match of {
                IpAddr::V4(_) => {
                    let (network, host) = IPV4;
                    IpAddr::V4(Ipv4Addr::from_bits(network | hash as u32 & host))
                }
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(IPV6 | u128::from(hash))),
            };
            tries += 1;
            // Two are never made one, and nobody is given the address of another.
            let is_free = !self.clients.contains(&name)
                && !self.own.contains(&name)
                && name != IpAddr::V4(Ipv4Addr::BROADCAST)
                && self.taken.insert(name);
            if is_free {
                break name;
            }
        };
        self.names.insert(of, name);
        name
    }
}

/// 128 bits in hexadecimal.
fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Client,
    Own,
}

#[cfg(test)]
mod tests;
