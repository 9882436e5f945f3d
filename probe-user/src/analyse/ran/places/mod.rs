//! The listeners that refuse while the command runs: lines come in, whom to
//! look at goes out, and at the end the verdicts on each.

mod hurt;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

pub use self::hurt::Hurt;
use crate::{
    analyse::{
        beside::Beside,
        narrow::narrowed,
        signals::{Heard, signals},
    },
    diagnose::diagnose,
    model::{Causes, Line, ListenerTally, Summary, incident::Place, verdict::Diagnosis},
};

/// Places that are remembered although nothing was refused there.
const SOUND_AT_MOST: usize = 1024;

/// What the lines say of each place.
pub(crate) struct Places {
    hurt: Arc<Hurt>,
    places: HashMap<Place, Told>,
}

#[derive(Default)]
struct Told {
    is_hurt: bool,
    heard: Heard,
    /// What happened there that is no refusal.
    others: Causes,
}

impl Places {
    pub(crate) fn new(hurt: Arc<Hurt>) -> Self {
        Self {
            hurt,
            places: HashMap::new(),
        }
    }

    /// To be told of every line.
    pub(crate) fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        let place = match line {
            Line::Event(seen) => seen.event.listener.map(|at| (seen.event.netns, at.addr)),
            Line::Sampled(sampled) => sampled.listener.map(|addr| (sampled.netns, addr)),
            Line::Stats(row) => row.addr.map(|addr| (row.netns, addr)),
            _ => None,
        };
        let Some((netns, addr)) = place else { return };
        let place = Place { netns, addr };
        if matches!(line, Line::Event(seen) if seen.event.kind.is_refusal()) && self.hurt.add(place)
        {
            self.places.entry(place).or_default().is_hurt = true;
        }
        if matches!(line, Line::Stats(_)) {
            self.remember(place);
        }
        if let Some(told) = self.places.get_mut(&place) {
            told.line(mono_ns, line);
        }
    }

    /// What was accepted before the first refusal is needed once there is one.
    fn remember(&mut self, place: Place) {
        if self.places.len() >= SOUND_AT_MOST && !self.places.contains_key(&place) {
            self.places.retain(|_, told| told.is_hurt);
        }
        self.places.entry(place).or_default();
    }

    /// Where somebody was refused.
    pub(crate) fn namespaces(&self) -> BTreeSet<u32> {
        self.hurt.all().iter().map(|place| place.netns).collect()
    }

    /// Where was refused, in the order of the summary, and why.
    pub(crate) fn diagnoses(self, beside: &Beside, summary: &Summary) -> Vec<(Place, Diagnosis)> {
        let mut places = self.places;
        let judge = |tally: &ListenerTally| {
            let place = Place {
                netns: tally.netns,
                addr: tally.addr?,
            };
            // A place is judged once, however many listen there.
            let told = places.remove(&place).filter(|told| told.is_hurt)?;
            let looks = beside.looks.of(place);
            let is_there = |netns, addr| place == Place { netns, addr };
            let summary = narrowed(summary, is_there, told.others);
            let mut signals = signals(told.heard, &looks, &summary);
            beside.add_host(&mut signals, place.netns);
            Some((place, diagnose(&signals)))
        };
        summary.listeners.iter().filter_map(judge).collect()
    }
}

impl Told {
    fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        if self.is_hurt {
            self.heard.line(mono_ns, line);
        } else if matches!(line, Line::Stats(_)) {
            self.heard.line(mono_ns, line);
            self.heard.keep_last();
        }
        let (kind, cause, n) = match line {
            Line::Event(seen) => (seen.event.kind, &seen.cause, 1),
            Line::Sampled(sampled) => (sampled.kind, &sampled.cause, sampled.count),
            _ => return,
        };
        if let (Some(cause), true, false) = (cause, self.is_hurt, kind.is_refusal()) {
            let name = (kind, cause.id.clone().into_owned());
            *self.others.entry(name).or_default() += n;
        }
    }
}

#[cfg(test)]
mod tests;
