//! Places where somebody was refused: told by lines, asked by the looks of another thread.

use std::{
    collections::BTreeSet,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use crate::model::{Line, incident::Place};

/// Places that are remembered between two looks.
const PLACES_AT_MOST: usize = 256;

/// A place is not told of again before so long.
const AGAIN_NS: u64 = 200_000_000;

/// Where somebody was refused since this was last asked.
#[derive(Default)]
pub struct Refusals {
    places: Mutex<BTreeSet<Place>>,
    news: Condvar,
}

impl Refusals {
    fn add(&self, place: Place) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() < PLACES_AT_MOST {
            places.insert(place);
        }
        drop(places);
        self.news.notify_one();
    }

    /// Places that refused somebody since this was last asked.
    pub fn take(&self) -> BTreeSet<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *places)
    }

    /// Waits until a place refuses somebody, or somebody wakes it, and for so long at most.
    pub(super) fn wait(&self, at_most: Duration) {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.is_empty() {
            // Whoever is woken looks for himself.
            drop(self.news.wait_timeout(places, at_most));
        }
    }

    pub(super) fn wake(&self) {
        self.news.notify_all();
    }
}

/// Hears lines, and tells of a place that is refusing all the time only now and then.
pub struct Ears<'a> {
    refusals: &'a Refusals,
    last: Option<(Place, u64)>,
}

impl<'a> Ears<'a> {
    /// Of what is shared with the looks.
    pub const fn of(refusals: &'a Refusals) -> Self {
        Self {
            refusals,
            last: None,
        }
    }

    /// To be told of every line.
    pub fn line(&mut self, line: &Line<'_>) {
        let Line::Event(seen) = line else { return };
        let event = &seen.event;
        let Some(listener) = event.listener.filter(|_| event.kind.is_refusal()) else {
            return;
        };
        let place = Place {
            netns: event.netns,
            addr: listener.addr,
        };
        let is_known = |(last, at_ns): (Place, u64)| {
            last == place && event.mono_ns.saturating_sub(at_ns) < AGAIN_NS
        };
        if !self.last.is_some_and(is_known) {
            self.last = Some((place, event.mono_ns));
            self.refusals.add(place);
        }
    }
}
