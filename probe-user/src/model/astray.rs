//! Connection attempts that found no listener.

use std::collections::BTreeSet;

use super::{incident::Place, socket::is_bound_for};

/// Attempts that were answered by a reset since nobody listened where they came, as lines tell of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Astray {
    /// Of clients of this host.
    pub own: u64,
    /// Of clients of this host as well, at addresses where somebody was connected to later and never before.
    pub early: u64,
    /// Of clients of other hosts.
    pub others: u64,
    /// Lines were left out or lost, so that each is a minimum.
    pub is_part: bool,
    /// Where clients of this host came, without those where they came early.
    pub places: BTreeSet<Place>,
}

impl Astray {
    /// Whether clients of this host came to this place, or to one of those that whoever is bound to it takes.
    pub fn came_to(&self, place: Place) -> bool {
        let mut places = self.places.iter();
        places.any(|at| at.netns == place.netns && is_bound_for(place.addr, at.addr))
    }

    /// `3 attempts to connect found no listener`; `None` where there were none.
    pub fn in_words(&self) -> Option<String> {
        let at_least = if self.is_part { "at least " } else { "" };
        match self.own {
            0 => None,
            1 => Some(format!(
                "{at_least}one attempt to connect found no listener"
            )),
            n => Some(format!(
                "{at_least}{n} attempts to connect found no listener"
            )),
        }
    }

    /// What is not judged of it, in words.
    pub fn not_judged(&self) -> Vec<String> {
        let at_least = if self.is_part { "at least " } else { "" };
        let mut all = Vec::new();
        if self.early > 0 {
            all.push(format!(
                "{at_least}{} refused before anybody listened there",
                self.early
            ));
        }
        if self.others > 0 {
            all.push(format!(
                "{at_least}{} refused to clients of other hosts",
                self.others
            ));
        }
        all
    }
}
