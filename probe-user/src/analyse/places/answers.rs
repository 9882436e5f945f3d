//! From what lines, looks and counts say of each place to its answer, the worst first.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::SocketAddr,
};

use super::{Places, Told, part::Part, spot::Whose};
use crate::{
    analyse::{beside::Beside, looks::Looks, narrow, signals::signals},
    diagnose::diagnose,
    model::{
        Causes, ListenerAnswer, Listening, Summary, incident::Place, kind::Kind,
        socket::is_bound_for,
    },
};

/// What is asked at the end.
#[derive(Clone, Copy)]
pub struct Asks<'a> {
    pub beside: &'a Beside,
    pub summary: &'a Summary,
    /// Whether queues were looked at all the time.
    pub is_looked: bool,
    /// Who listened there before the watch.
    pub before: &'a [Listening],
}

/// What is answered.
#[derive(Default)]
pub struct Answers {
    /// Of those that refused, or at which something else is wrong, the worst first.
    pub all: Vec<ListenerAnswer>,
    /// So many listeners have none: they refused nobody.
    pub quiet: usize,
    /// Rules that had their signals nowhere.
    pub abstained: Vec<&'static str>,
    /// What lines told of the clients that were asked about, wherever it was.
    pub of_client: Option<Causes>,
    /// Events that may or may not have been theirs.
    pub untold: u64,
    /// Client addresses that had a line.
    pub clients: usize,
    pub first_drop_ns: Option<u64>,
    /// Lines of places that there was no room for.
    pub let_go: u64,
}

/// Everything that is known, place by place.
#[derive(Default)]
struct Parts {
    /// What every place begins with.
    blank: Part,
    /// Where somebody listens, or did.
    listeners: BTreeMap<Place, Part>,
    /// Where clients came, and nobody listens.
    nobody: BTreeMap<Place, Part>,
    unplaced: Part,
}

impl Places {
    pub fn answers(self, asks: Asks<'_>) -> Answers {
        let mut answers = Answers {
            let_go: self.let_go,
            ..Answers::default()
        };
        let blank = self.blank.clone();
        let parts = Parts::of(self, asks);
        answers.sum_up(&parts);
        let mut abstained: Option<BTreeSet<&'static str>> = None;
        for (place, part, listens) in parts.into_all() {
            let answer = part.answer(place, asks.beside, asks.summary, asks.is_looked);
            let own = answer.diagnosis.abstained.iter().copied().collect();
            if is_wrong(&answer) {
                answers.all.push(answer);
            } else if listens {
                answers.quiet += (answer.members.len() + answer.others.listeners).max(1);
            } else {
                continue;
            }
            abstained = Some(match abstained {
                Some(others) => &others & &own,
                None => own,
            });
        }
        answers.abstained = if let Some(ids) = abstained {
            ids.into_iter().collect()
        } else {
            let nothing = narrow::part(asks.summary, Vec::new(), Vec::new(), Causes::new());
            diagnose(&signals(blank, &Looks::default(), &nothing)).abstained
        };
        answers.all.sort_by_key(worst_first);
        answers
    }
}

impl Answers {
    /// What is known of all places together.
    fn sum_up(&mut self, parts: &Parts) {
        let mut clients = HashSet::new();
        for part in parts.all() {
            let heard = &part.told.heard;
            self.untold += heard.untold();
            clients.extend(heard.clients());
            let firsts = self.first_drop_ns.into_iter().chain(heard.first_drop_ns);
            self.first_drop_ns = firsts.min();
            if let Some(causes) = heard.of_client() {
                add(self.of_client.get_or_insert_default(), causes);
            }
        }
        self.clients = clients.len();
    }
}

impl Parts {
    fn of(places: Places, asks: Asks<'_>) -> Self {
        let mut parts = Self::default();
        parts.blank.told.heard = places.blank;
        let mut ways: Vec<(Place, Told)> = Vec::new();
        for (spot, told) in places.told {
            match spot.whose {
                Whose::Listener => parts.listener(spot.place).told.join(told),
                Whose::Nobody => parts.nobody(spot.place).told.join(told),
                Whose::Way => ways.push((spot.place, told)),
            }
        }
        parts.unplaced.told = places.unplaced;
        parts.count(asks);
        for queue in asks.beside.looks.queues.values() {
            parts.listener(queue.place());
        }
        for listening in asks.before {
            let place = Place {
                netns: listening.netns,
                addr: listening.snapshot.addr,
            };
            parts.listener(place).before.push(listening.clone());
        }
        for place in asks.beside.around.places() {
            if !parts.listeners.contains_key(&place) {
                parts.nobody(place);
            }
        }
        for (to, told) in ways {
            let part = match parts.who_takes(to, asks) {
                Some(place) => parts.listener(place),
                None => parts.nobody(to),
            };
            part.told.join(told);
        }
        parts.find_strays(places.strays, asks.summary);
        parts
    }

    fn listener(&mut self, place: Place) -> &mut Part {
        let blank = || self.blank.clone();
        self.listeners.entry(place).or_insert_with(blank)
    }

    fn nobody(&mut self, place: Place) -> &mut Part {
        let blank = || self.blank.clone();
        self.nobody.entry(place).or_insert_with(blank)
    }

    fn all(&self) -> impl Iterator<Item = &Part> {
        let placed = self.listeners.values().chain(self.nobody.values());
        placed.chain([&self.unplaced])
    }

    /// With their places, and whether somebody listens there.
    fn into_all(self) -> impl Iterator<Item = (Option<Place>, Part, bool)> {
        let listeners = self.listeners.into_iter();
        let listeners = listeners.map(|(place, part)| (Some(place), part, true));
        let nobody = self.nobody.into_iter();
        let nobody = nobody.map(|(place, part)| (Some(place), part, false));
        listeners
            .chain(nobody)
            .chain([(None, self.unplaced, false)])
    }

    /// What the summary counted, to the listener that each count is of.
    fn count(&mut self, asks: Asks<'_>) {
        let queues = asks.beside.looks.queues.iter();
        let looked = queues.map(|(name, queue)| (*name, queue.last.addr));
        let rows = asks.summary.stats.iter();
        let told = rows.filter_map(|row| Some(((row.netns, row.cookie), row.addr?)));
        let known: HashMap<(u32, u64), SocketAddr> = looked.chain(told).collect();
        let place = |netns: u32, cookie: u64, addr: Option<SocketAddr>| {
            let addr = addr.or_else(|| known.get(&(netns, cookie)).copied())?;
            Some(Place { netns, addr })
        };
        for tally in &asks.summary.listeners {
            let part = match place(tally.netns, tally.cookie, tally.addr) {
                Some(place) => self.listener(place),
                None => &mut self.unplaced,
            };
            part.tallies.push(tally.clone());
        }
        for row in &asks.summary.stats {
            if let Some(place) = place(row.netns, row.cookie, row.addr) {
                self.listener(place).rows.push(row.clone());
            }
        }
    }

    /// The listener of that namespace which takes what is sent to this address: one that is bound to it before one that
    /// takes every address.
    fn who_takes(&self, to: Place, asks: Asks<'_>) -> Option<Place> {
        let is_looked_at = |place: Place| {
            let queues = asks.beside.looks.queues.values();
            let mut there = queues.filter(|queue| queue.place() == place).peekable();
            there.peek().is_none() || there.any(|queue| queue.last.takes(to.addr))
        };
        let places = self.listeners.keys();
        let takes = places.filter(|place| {
            place.netns == to.netns && is_bound_for(place.addr, to.addr) && is_looked_at(**place)
        });
        takes.copied().min_by_key(|p| p.addr.ip().is_unspecified())
    }

    /// What was left out of the detail goes to the one place of its namespace where the same happened. What nobody can
    /// place is said of none.
    fn find_strays(&mut self, strays: BTreeMap<(u32, Kind, String), u64>, summary: &Summary) {
        // Those of lines that name no place are among what is left.
        self.unplaced.told.others.clear();
        let mut left = self.left(summary);
        for ((netns, kind, cause), n) in strays {
            let name = (kind, cause);
            let Some(of_name) = left.get_mut(&name) else {
                continue;
            };
            let n = n.min(*of_name);
            let all = self.listeners.iter_mut().chain(&mut self.nobody);
            let mut there = all.filter(|(place, part)| {
                place.netns == netns && part.told.others.contains_key(&name)
            });
            if let (Some((_, part)), None) = (there.next(), there.next()) {
                part.told.add(name.0, &name.1, n);
                *of_name -= n;
            }
        }
        left.retain(|_, n| *n > 0);
        self.unplaced.told.others = left;
    }

    /// What was counted beyond what is of a listener or has a line with an address.
    fn left(&self, summary: &Summary) -> Causes {
        let mut left = summary.causes.clone();
        for part in self.all() {
            let tallies = part.tallies.iter();
            let mut known: Vec<&Causes> = tallies.map(|tally| &tally.causes).collect();
            known.push(&part.told.others);
            for (name, n) in known.into_iter().flatten() {
                if let Some(of_name) = left.get_mut(name) {
                    *of_name = of_name.saturating_sub(*n);
                }
            }
        }
        left
    }
}

fn add(to: &mut Causes, causes: &Causes) {
    for (name, n) in causes {
        *to.entry(name.clone()).or_default() += n;
    }
}

/// Whether there is anything to be said of it.
fn is_wrong(answer: &ListenerAnswer) -> bool {
    !answer.diagnosis.verdicts.is_empty() || answer.harm() > 0
}

/// By what was refused there, then by what else went wrong.
fn worst_first(answer: &ListenerAnswer) -> impl Ord + use<> {
    // What is not known of comes last.
    (
        answer.place.is_none(),
        Reverse(answer.signals.refusals),
        Reverse(answer.harm()),
        answer.place,
    )
}
