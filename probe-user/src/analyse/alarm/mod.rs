//! Incidents while they go on, of every listener: lines come in with their times, and what there is to tell goes out: when
//! one begins, now and then while it lasts, and when it is over, with what `why` would say of it by then. Reads no clock.
//!
//! An incident begins with a refusal. It is over when nobody was refused, and no look found the queue over its limit, for
//! a second: what [`super::incident`] calls close.

mod episode;
mod figures;
mod window;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use foldhash::HashMap;

use self::episode::Episode;
use crate::model::{
    HostFacts, Line, ListenerStatsRow, Observed, ObservedProcess, Start,
    alarm::{Alarm, Phase},
    incident::Place,
    observation::Observation,
};

/// Incidents that go on at once; of more is only told how many there were.
const INCIDENTS_AT_MOST: usize = 64;

/// Events of all of them that are looked at more closely than to be counted.
const CLOSELY_AT_MOST: usize = 4096;

/// Namespaces of which it is remembered what they say of themselves.
const HOSTS_AT_MOST: usize = 256;

/// Who refused whom, and since when.
#[derive(Default)]
pub struct Alarms {
    /// How the watch began; `None` where incidents are not wanted.
    start: Option<Box<Start>>,
    episodes: HashMap<Place, Episode>,
    hosts: BTreeMap<u32, HostFacts>,
    /// The processes of the newest look, and its number.
    processes: (u32, Vec<ObservedProcess>),
    begun: u64,
    /// Incidents that there was no room for, and since when the newest of them is refused.
    untold: u64,
    no_room_ns: HashMap<Place, u64>,
    /// Events that were looked at closely, of incidents that go on.
    closely: usize,
    /// There is something to tell, at once or from then on.
    has_news: bool,
    due_ns: u64,
}

impl Alarms {
    /// Of a watch that begins like this; figures of listeners are read so often, or never.
    pub fn of(start: &Start, figures_every: Option<Duration>) -> Self {
        let mut start = start.clone();
        start.asked.stats_every = figures_every;
        Self {
            start: Some(Box::new(start)),
            due_ns: u64::MAX,
            ..Self::default()
        }
    }

    /// Whether any incident goes on.
    pub fn is_any(&self) -> bool {
        !self.episodes.is_empty()
    }

    /// Whether [`Self::tell`] has anything to say by then.
    pub const fn is_due(&self, now_ns: u64) -> bool {
        self.has_news || now_ns >= self.due_ns
    }

    /// Whether one goes on there.
    pub fn is_at(&self, netns: u32, addr: SocketAddr) -> bool {
        self.episodes.contains_key(&Place { netns, addr })
    }

    /// A reading of figures: all that listeners went through where an incident goes on.
    pub fn figures(&mut self, mono_ns: u64, rows: &[ListenerStatsRow]) {
        for (place, episode) in &mut self.episodes {
            let is_there =
                |row: &&ListenerStatsRow| (row.netns, row.addr) == (place.netns, Some(place.addr));
            let own: Vec<ListenerStatsRow> = rows.iter().filter(is_there).cloned().collect();
            episode.figures(mono_ns, &own);
        }
    }

    /// To be told of every event that is wanted.
    pub fn event(&mut self, seen: &Observation) {
        let event = &seen.event;
        let Some(listener) = event.listener else {
            return;
        };
        let place = Place {
            netns: event.netns,
            addr: listener.addr,
        };
        let has_room = self.closely < CLOSELY_AT_MOST;
        if let Some(episode) = self.episodes.get_mut(&place) {
            self.closely += episode.event(seen, has_room);
        } else if event.kind.is_refusal()
            && let Some(episode) = self.begin(place, event.mono_ns)
        {
            let closely = episode.event(seen, has_room);
            self.closely += closely;
        }
    }

    /// To be told of every other line.
    pub fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        match line {
            Line::Sampled(sampled) => {
                let Some(addr) = sampled.listener else { return };
                let place = Place {
                    netns: sampled.netns,
                    addr,
                };
                let is_new = !self.episodes.contains_key(&place);
                if is_new && (!sampled.kind.is_refusal() || self.begin(place, mono_ns).is_none()) {
                    return;
                }
                if let Some(episode) = self.episodes.get_mut(&place) {
                    episode.sampled(mono_ns, sampled);
                }
            }
            Line::Loss(loss) => {
                for episode in self.episodes.values_mut() {
                    episode.lost(loss.ring_full + loss.undecodable);
                }
            }
            Line::Residual(residual) => {
                let there = self.episodes.iter_mut();
                for (_, episode) in there.filter(|(place, _)| place.netns == residual.netns) {
                    episode.residual(residual.news);
                }
            }
            Line::Observed(seen) => self.look(mono_ns, seen),
            _ => {}
        }
    }

    fn look(&mut self, mono_ns: u64, seen: &Observed) {
        match seen {
            Observed::Process(process) if self.start.is_some() => {
                if self.processes.0 != process.look {
                    self.processes = (process.look, Vec::new());
                }
                self.processes.1.push(ObservedProcess::clone(process));
            }
            Observed::Queue(queue) => {
                let place = Place {
                    netns: queue.netns,
                    addr: queue.snapshot.addr,
                };
                if let Some(episode) = self.episodes.get_mut(&place) {
                    let of_look = (self.processes.0 == queue.look).then_some(&*self.processes.1);
                    episode.look(queue, of_look.unwrap_or_default());
                }
            }
            Observed::Host(facts) if self.start.is_some() => {
                for (place, episode) in &mut self.episodes {
                    if place.netns == facts.netns {
                        episode.host(mono_ns, facts);
                    }
                }
                if self.hosts.len() < HOSTS_AT_MOST || self.hosts.contains_key(&facts.netns) {
                    self.hosts.insert(facts.netns, HostFacts::clone(facts));
                }
            }
            _ => {}
        }
    }

    /// `None` where incidents are not wanted, or where there is no room for another.
    fn begin(&mut self, place: Place, mono_ns: u64) -> Option<&mut Episode> {
        let start = self.start.as_deref()?;
        if self.episodes.len() >= INCIDENTS_AT_MOST {
            self.refuse(place, mono_ns);
            return None;
        }
        self.begun += 1;
        self.has_news = true;
        let facts = self.hosts.get(&place.netns);
        let episode = Episode::begin(self.begun, place, start, mono_ns, facts);
        Some(self.episodes.entry(place).or_insert(episode))
    }

    /// One more that is not told of: once for each place and time.
    fn refuse(&mut self, place: Place, mono_ns: u64) {
        let close = super::incident::CLOSE_NS;
        let last = self.no_room_ns.get(&place).copied();
        if last.is_none_or(|last| mono_ns.saturating_sub(last) > close) {
            self.untold += 1;
        }
        if self.no_room_ns.len() >= INCIDENTS_AT_MOST {
            let is_near = |_: &Place, last: &mut u64| mono_ns.saturating_sub(*last) <= close;
            self.no_room_ns.retain(is_near);
        }
        // Of still more places each refusal may count as an incident of its own: it is a number of those untold at most.
        if self.no_room_ns.len() < INCIDENTS_AT_MOST * 16 {
            self.no_room_ns.insert(place, mono_ns);
        }
    }

    /// What there is to tell by then.
    pub fn tell(&mut self, now_ns: u64) -> Vec<Alarm> {
        let mut told = Vec::new();
        let mut due_ns = u64::MAX;
        let (untold, closely) = (&mut self.untold, &mut self.closely);
        self.episodes.retain(|_, episode| {
            let Some(phase) = episode.phase(now_ns) else {
                due_ns = due_ns.min(episode.due_ns());
                return true;
            };
            told.push(Alarm {
                untold: std::mem::take(untold),
                ..episode.tell(phase, now_ns, closely)
            });
            due_ns = due_ns.min(episode.due_ns());
            phase != Phase::End
        });
        self.has_news = false;
        self.due_ns = due_ns;
        told.sort_by_key(|alarm| alarm.id);
        told
    }

    /// The watch is over: what goes on is told as such.
    pub fn end(&mut self, now_ns: u64) -> Vec<Alarm> {
        let mut told = self.tell(now_ns);
        for (_, mut episode) in self.episodes.drain() {
            told.push(Alarm {
                untold: std::mem::take(&mut self.untold),
                ..episode.tell(Phase::Cut, now_ns, &mut self.closely)
            });
        }
        told.sort_by_key(|alarm| alarm.id);
        self.due_ns = u64::MAX;
        told
    }
}

#[cfg(test)]
pub(super) mod tests;
