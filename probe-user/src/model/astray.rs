//! Connection attempts that found no listener.

use std::collections::BTreeSet;

use super::{incident::Place, socket::is_bound_for};

/// Places that are named.
const NAMED_AT_MOST: usize = 4;

fn name(place: &Place) -> String {
    place.addr.to_string()
}

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
    /// Who listens on the same ports somewhere else, in words, as far as there are not too many.
    pub elsewhere: BTreeSet<String>,
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

    /// The same with where that was, and where somebody listens instead.
    pub fn in_sentences(&self) -> Vec<String> {
        let Some(found) = self.in_words() else {
            return Vec::new();
        };
        let (mut places, all) = (self.places.iter(), self.places.len());
        let named: Vec<String> = places.by_ref().take(NAMED_AT_MOST).map(name).collect();
        let more = match all - named.len() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let mut sentences = vec![format!("{found} at {}{more}", named.join(", "))];
        if !self.elsewhere.is_empty() {
            let elsewhere: Vec<&str> = self.elsewhere.iter().map(String::as_str).collect();
            sentences.push(format!("listening on that port: {}", elsewhere.join("; ")));
        }
        sentences
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

#[cfg(test)]
impl Astray {
    /// Three of this host's and two of others, for tests.
    pub fn sample() -> Self {
        Self {
            own: 3,
            others: 2,
            ..Self::default()
        }
    }
}
