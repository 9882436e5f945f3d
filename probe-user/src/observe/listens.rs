//! Whether somebody listens where it was asked for.

use std::collections::BTreeSet;

use crate::{
    filter::ListenerFilter,
    host::{Host, unread::Unread},
    model::WithoutListener,
};

/// What looks for them have found.
pub struct Listens {
    /// Where nobody was found to listen.
    pub without: Vec<WithoutListener>,
    /// Namespaces in which somebody was; `None` where not all could be asked, or nothing was asked for.
    pub places: Option<Vec<u32>>,
}

/// Listeners that were asked for, looked for at the beginning and at the end.
pub struct Wanted<'a> {
    asked: &'a [ListenerFilter],
    /// Those that were found, by their number.
    found: BTreeSet<usize>,
    /// In which namespaces.
    places: BTreeSet<u32>,
    unasked: Unread,
}

impl<'a> Wanted<'a> {
    /// None of them was looked for yet.
    pub fn of(asked: &'a [ListenerFilter]) -> Self {
        Self {
            asked,
            found: BTreeSet::new(),
            places: BTreeSet::new(),
            unasked: Unread::default(),
        }
    }

    /// Looks for them, in this namespace or in all; an error is a sentence.
    pub fn look(&mut self, only: Result<Option<u32>, String>, host: &Host) {
        if self.asked.is_empty() {
            return;
        }
        let mut host = host.another();
        let Some(only) = self.unasked.note(only) else {
            return;
        };
        for (n, listener) in self.asked.iter().enumerate() {
            let places = listening_in(*listener, only, &mut host, &mut self.unasked);
            if !places.is_empty() {
                self.found.insert(n);
            }
            self.places.extend(places);
        }
    }

    /// What the looks have found.
    pub fn listens(self) -> Listens {
        let unasked = self.unasked.into_sentences();
        let is_known = unasked.is_empty() && !self.asked.is_empty();
        let places = is_known.then(|| self.places.into_iter().collect());
        let asked = self.asked.iter().enumerate();
        let without = asked.filter(|(n, _)| !self.found.contains(n));
        let without = without.map(|(_, listener)| WithoutListener {
            listener: listener.to_string(),
            unasked: unasked.clone(),
        });
        Listens {
            without: without.collect(),
            places,
        }
    }
}

/// In which of this namespace, or of all, somebody listens there; which ones could not be asked is noted.
pub fn listening_in(
    listener: ListenerFilter,
    only: Option<u32>,
    host: &mut Host,
    unasked: &mut Unread,
) -> Vec<u32> {
    unasked.registry(&host.namespaces());
    let mut namespaces: Vec<u32> = host.namespaces().iter().collect();
    namespaces.retain(|netns| {
        only.is_none_or(|only| only == *netns)
            && unasked
                .note(host.listeners_if_there(*netns, listener.port()))
                .is_some_and(|found| found.iter().any(|one| listener.takes_listener(one.addr)))
    });
    namespaces
}
