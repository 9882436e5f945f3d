//! Where to look: places that have refused somebody.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use crate::model::incident::Place;

/// Places that are looked at.
const HURT_AT_MOST: usize = 16;

/// Where to look: told by the lines, asked by the looks.
#[derive(Default)]
pub struct Hurt(Mutex<BTreeSet<Place>>);

impl Hurt {
    pub(super) fn add(&self, place: Place) -> bool {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.len() < HURT_AT_MOST && places.insert(place)
    }

    /// All of them.
    pub fn all(&self) -> BTreeSet<Place> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.clone()
    }
}
