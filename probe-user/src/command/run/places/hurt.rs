//! Where to look: places that have refused somebody.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use crate::{
    enrich::Enricher,
    model::{incident::Place, socket::ListenerSnapshot},
};

/// Places that are looked at.
const HURT_AT_MOST: usize = 16;

/// Where to look: told by the lines, asked by the looks.
#[derive(Default)]
pub(crate) struct Hurt(Mutex<BTreeSet<Place>>);

impl Hurt {
    pub(super) fn add(&self, place: Place) -> bool {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.len() < HURT_AT_MOST && places.insert(place)
    }

    pub(super) fn all(&self) -> BTreeSet<Place> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.clone()
    }

    /// Who listens there now.
    pub(crate) fn find(&self, enricher: &mut Enricher) -> Vec<(u32, ListenerSnapshot)> {
        let places = self.all();
        let ports: BTreeSet<(u32, u16)> = places
            .iter()
            .map(|place| (place.netns, place.addr.port()))
            .collect();
        let mut found = Vec::new();
        for (netns, port) in ports {
            // A look that fails is one less; what was not looked at is in no verdict.
            let listeners = enricher.listeners_of(netns, port).unwrap_or_default();
            let at = |addr| places.contains(&Place { netns, addr });
            let hurt = listeners.into_iter().filter(|one| at(one.addr));
            found.extend(hurt.map(|one| (netns, one)));
        }
        found
    }
}
