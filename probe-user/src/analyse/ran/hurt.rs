//! Where to look: places that have refused somebody.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use crate::model::{Line, incident::Place};

/// Places that are looked at.
const HURT_AT_MOST: usize = 16;

/// Where to look: told by the lines, asked by the looks.
#[derive(Default)]
pub(crate) struct Hurt(Mutex<BTreeSet<Place>>);

impl Hurt {
    /// To be told of every line.
    pub(super) fn line(&self, line: &Line<'_>) {
        let Line::Event(seen) = line else { return };
        let listener = seen.event.listener.filter(|_| seen.event.kind.is_refusal());
        if let Some(listener) = listener {
            self.add(Place {
                netns: seen.event.netns,
                addr: listener.addr,
            });
        }
    }

    fn add(&self, place: Place) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() < HURT_AT_MOST {
            places.insert(place);
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> BTreeSet<Place> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.clone()
    }
}
