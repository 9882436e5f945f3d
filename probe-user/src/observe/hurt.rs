//! Who listens at places where somebody was refused.

use std::collections::BTreeSet;

use crate::{
    host::Host,
    model::{incident::Place, socket::ListenerSnapshot},
};

/// Who listens there now.
pub fn listening_at(places: &BTreeSet<Place>, host: &mut Host) -> Vec<(u32, ListenerSnapshot)> {
    let ports: BTreeSet<(u32, u16)> = places
        .iter()
        .map(|place| (place.netns, place.addr.port()))
        .collect();
    let mut found = Vec::new();
    for (netns, port) in ports {
        // A look that fails is one less; what was not looked at is in no verdict.
        let listeners = host.listeners_of(netns, port).unwrap_or_default();
        let at = |addr| places.contains(&Place { netns, addr });
        let hurt = listeners.into_iter().filter(|one| at(one.addr));
        found.extend(hurt.map(|one| (netns, one)));
    }
    found
}
