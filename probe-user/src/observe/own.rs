//! Which clients are of this host.

use std::{collections::BTreeSet, net::IpAddr};

use crate::host::{Host, netns, route, unread::Unread};

/// Addresses and namespaces that are asked for: each question enters a namespace.
const ADDRESSES_AT_MOST: usize = 16;
const NAMESPACES_AT_MOST: usize = 256;

/// Those of these addresses that are of one of this host's namespaces; what could not be asked is noted.
pub fn of_this_host(addresses: &BTreeSet<IpAddr>, host: &Host, unread: &mut Unread) -> Vec<IpAddr> {
    if addresses.is_empty() {
        return Vec::new();
    }
    let mut registry = host.namespaces();
    unread.registry(&registry);
    let own = netns::current().ok();
    let mut namespaces: Vec<u32> = registry.iter().collect();
    // Most clients are here.
    namespaces.sort_by_key(|netns| Some(*netns) != own);
    let are_asked = addresses.len() <= ADDRESSES_AT_MOST && namespaces.len() <= NAMESPACES_AT_MOST;
    let mut found = Vec::new();
    for address in addresses.iter().take(ADDRESSES_AT_MOST) {
        for netns in namespaces.iter().take(NAMESPACES_AT_MOST) {
            match route::is_local(&mut registry, *netns, *address) {
                Ok(true) => {
                    found.push(*address);
                    break;
                }
                Ok(false) => {}
                Err(error) if error.is_gone() => {}
                Err(error) => unread.add(error.to_string()),
            }
        }
    }
    if !are_asked && found.len() < addresses.len() {
        unread.add("whether some clients that found no listener are of this host was not asked: there are too many".into());
    }
    found
}
