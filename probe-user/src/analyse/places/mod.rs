//! What the lines of a watch say, place by place: lines come in, and when they end, an answer goes out for each listener
//! (or SO_REUSEPORT group), and for each address where clients came and nobody listened. What is known of one place never
//! speaks for another.

mod answers;
mod part;
mod spot;

use std::collections::BTreeMap;

pub use self::answers::{Answers, Asks};
use self::spot::{Spot, Whose};
use super::signals::Heard;
use crate::{
    filter::ClientFilter,
    model::{Causes, Line, Sampled, Tried, kind::Kind, observation::Observation},
};

/// Places that are remembered.
const SPOTS_AT_MOST: usize = 4096;

/// What lines say of each place.
#[derive(Clone, Default)]
pub struct Places {
    /// What every place begins with.
    blank: Heard,
    /// Whether only what listeners decided is wanted.
    only_listeners: bool,
    told: BTreeMap<Spot, Told>,
    /// What lines say of places that they do not name.
    unplaced: Told,
    /// What was left out of the detail at places that no line names, by namespace.
    strays: BTreeMap<(u32, Kind, String), u64>,
    /// Lines of places that there was no room for.
    let_go: u64,
}

/// What lines say of one place.
#[derive(Clone, Default)]
struct Told {
    heard: Heard,
    /// What happened there that is no refusal.
    others: Causes,
    /// Whether anything but connections came.
    is_hurt: bool,
}

impl Places {
    /// Of these clients only, if any.
    pub fn of(client: Option<ClientFilter>) -> Self {
        let blank = Heard::of(client);
        Self {
            unplaced: Told {
                heard: blank.clone(),
                ..Told::default()
            },
            blank,
            ..Self::default()
        }
    }

    /// Of listeners only: what nobody decided on is left out, but for what was dropped on its way to one, and for who found
    /// none.
    pub fn of_listeners() -> Self {
        Self {
            only_listeners: true,
            ..Self::default()
        }
    }

    /// To be told of every line.
    pub fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        match line {
            Line::Start(_) => {
                self.blank.line(mono_ns, line);
                self.unplaced.heard.line(mono_ns, line);
            }
            Line::Event(seen) => self.event(mono_ns, seen, line),
            Line::Sampled(sampled) => self.sampled(mono_ns, sampled, line),
            Line::Stats(row) => {
                let Some(addr) = row.addr else { return };
                if let Some(told) = self.at(Spot::of_listener(row.netns, addr)) {
                    told.heard.line(mono_ns, line);
                    if !told.is_hurt {
                        told.heard.cut();
                    }
                }
            }
            _ => {}
        }
    }

    /// Forgets what listeners accepted: from here on that is not known.
    pub fn forget_accepted(&mut self) {
        self.blank.forget_accepted();
        self.unplaced.heard.forget_accepted();
        for told in self.told.values_mut() {
            told.heard.forget_accepted();
        }
    }

    /// An attempt of whydrop's own, in this namespace.
    pub fn tried(&mut self, netns: u32, tried: &Tried) {
        let told = tried.to.and_then(|to| self.at(Spot::on_the_way(netns, to)));
        if let Some(told) = told {
            told.heard.tried(tried);
        }
    }

    fn event(&mut self, mono_ns: u64, seen: &Observation, line: &Line<'_>) {
        let spot = Spot::of(seen);
        let is_listener_s = spot.is_some_and(|spot| spot.whose == Whose::Listener);
        // Packets are told of as dropped only where somebody listens.
        let is_lost = matches!(seen.event.kind, Kind::PacketDrop | Kind::Refused);
        if self.only_listeners && !is_listener_s && !is_lost {
            return;
        }
        let told = match spot {
            Some(spot) => self.at(spot),
            None => Some(&mut self.unplaced),
        };
        let Some(told) = told else {
            self.let_go += 1;
            return;
        };
        told.heard.line(mono_ns, line);
        told.is_hurt = true;
        let kind = seen.event.kind;
        if let (Some(cause), false) = (&seen.cause, kind.is_refusal()) {
            told.add(kind, &cause.id, 1);
        }
    }

    fn sampled(&mut self, mono_ns: u64, sampled: &Sampled, line: &Line<'_>) {
        let (kind, n) = (sampled.kind, sampled.count);
        let cause = sampled.cause.as_ref().filter(|_| !kind.is_refusal());
        let Some(addr) = sampled.listener else {
            self.unplaced.heard.line(mono_ns, line);
            if let Some(cause) = cause {
                let name = (sampled.netns, kind, cause.id.clone().into_owned());
                *self.strays.entry(name).or_default() += n;
            }
            return;
        };
        let Some(told) = self.at(Spot::of_listener(sampled.netns, addr)) else {
            self.let_go += n;
            return;
        };
        told.heard.line(mono_ns, line);
        told.is_hurt = true;
        if let Some(cause) = cause {
            told.add(kind, &cause.id, n);
        }
    }

    /// What is known of a place; `None` where there is no room for another.
    fn at(&mut self, spot: Spot) -> Option<&mut Told> {
        if self.told.len() >= SPOTS_AT_MOST && !self.told.contains_key(&spot) {
            self.told.retain(|_, told| told.is_hurt);
            if self.told.len() >= SPOTS_AT_MOST {
                return None;
            }
        }
        let blank = &self.blank;
        Some(self.told.entry(spot).or_insert_with(|| Told {
            heard: blank.clone(),
            ..Told::default()
        }))
    }
}

impl Told {
    fn add(&mut self, kind: Kind, cause: &str, n: u64) {
        let name = (kind, cause.to_owned());
        *self.others.entry(name).or_default() += n;
    }

    /// Adds what was said of another place, which turned out to be the same.
    fn join(&mut self, other: Self) {
        self.heard.join(other.heard);
        for ((kind, cause), n) in other.others {
            self.add(kind, &cause, n);
        }
        self.is_hurt |= other.is_hurt;
    }
}

#[cfg(test)]
mod tests;
