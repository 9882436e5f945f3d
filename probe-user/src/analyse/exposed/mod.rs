//! Counters that never fall, out of counts whose names come and go: a census comes in now and then, families of metrics
//! go out. Does no I/O and reads no clock.
//!
//! Each series adds up differences. What the counts gained as a whole and no listener of its own gained goes to `other`,
//! so that whatever is forgotten meanwhile, and under whatever name, the sum is exact.

mod families;
mod gains;
mod identity;
mod incidents;
mod listeners;

use self::{gains::Gains, incidents::Incidents, listeners::Listeners};
use crate::model::{Line, Start, census::Census, exposition::Family};

/// Listeners that have series of their own, and namespaces that have.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many at most.
    pub listeners: usize,
    /// After it was closed a listener keeps its series for so long, in nanoseconds.
    pub closed_ns: u64,
}

/// The state of all series.
pub struct Exposed {
    start: Start,
    limits: Limits,
    gains: Gains,
    listeners: Listeners,
    incidents: Incidents,
    last: Option<Census>,
}

impl Exposed {
    /// Of a watch that began so. Everything counts from there.
    pub fn of(start: &Start, limits: Limits) -> Self {
        Self {
            start: start.clone(),
            limits,
            gains: Gains::default(),
            listeners: Listeners::default(),
            incidents: Incidents::default(),
            last: None,
        }
    }

    /// To be told of every line.
    pub fn line(&mut self, line: &Line<'_>) {
        if let Line::Incident(alarm) = line {
            self.incidents.take(alarm);
        }
    }

    /// Adds what was counted since the last census.
    pub fn take(&mut self, census: Census) {
        self.listeners.meet(&census, self.limits);
        self.listeners.add_rows(&census);
        self.gains.take(&census.counts, &mut self.listeners);
        self.listeners.age(&census, self.limits);
        self.last = Some(census);
    }

    /// How it goes, in some words.
    pub fn in_words(&self) -> String {
        let refused: u64 = self.listeners.refusals().sum();
        let listeners = self.listeners.series.len();
        let active = self.incidents.active();
        format!(
            "{refused} refused at {listeners} listeners by the last reading, incidents now: {active}"
        )
    }

    /// All that there is to hand out.
    pub fn families(&self) -> Vec<Family> {
        let mut all = families::of_the_watch(&self.start);
        all.extend(self.listeners.families());
        all.extend(self.incidents.families());
        if let Some(census) = &self.last {
            all.extend(families::of_the_census(census, &self.listeners));
        }
        all.retain(|family| !family.samples.is_empty());
        all
    }
}

#[cfg(test)]
mod tests;
