//! Looks at whoever is pressed, on the whole host: listeners whose queue is above a quarter of its limit, or that
//! refused somebody a moment ago. Bursts of looks at one after another tell what its threads do; a sweep now and then
//! finds new ones. All of it takes no more of a CPU than its budget.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    Looker,
    budget::{Budget, ONE_IN, ONE_IN_NOW},
    host_news::HostNews,
    told::Refusals,
};
use crate::{
    filter::Filter,
    host::{Host, clock::thread_ns},
    model::{Observed, incident::Place, socket::ListenerSnapshot},
};

/// After it was last pressed, a listener is looked at for so long.
const LINGER: Duration = Duration::from_secs(2);

/// Between two sweeps, at least.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// Namespaces are looked for so seldom.
const MEET_EVERY: Duration = Duration::from_secs(10);

/// Looks at one place before it is the next one's turn.
const BURST: u32 = 4;

/// Places that are looked at.
const PLACES_AT_MOST: usize = 64;

/// Listeners of one place that are looked at together: members of an SO_REUSEPORT group.
const MEMBERS_AT_MOST: usize = 16;

/// Finds the pressed, and looks at them.
pub(crate) struct Pressed<'a> {
    looker: Looker,
    filter: Filter,
    refusals: &'a Refusals,
    /// Whether the host is swept for those that are pressed and have refused nobody yet.
    sweeps: bool,
    /// Until when each is looked at.
    places: BTreeMap<Place, Instant>,
    /// Whose turn it is, and how many looks it has had.
    turn: Option<(Place, u32)>,
    budget: Budget,
    look_cost: Duration,
    sweep_cost: Duration,
    swept: Option<Instant>,
    met: Instant,
    now: Instant,
    /// How long this thread had been on a CPU when it was last paid for.
    paid_ns: u64,
    news: HostNews,
}

impl<'a> Pressed<'a> {
    pub(crate) fn new(host: Host, filter: Filter, refusals: &'a Refusals, sweeps: bool) -> Self {
        let now = Instant::now();
        Self {
            looker: Looker::new(host),
            filter,
            refusals,
            sweeps,
            places: BTreeMap::new(),
            turn: None,
            budget: Budget::full(if sweeps { ONE_IN } else { ONE_IN_NOW }),
            look_cost: Duration::ZERO,
            sweep_cost: Duration::ZERO,
            swept: None,
            met: now,
            now,
            paid_ns: thread_ns(),
            news: HostNews::begin(),
        }
    }

    /// Whether nobody is to be looked at.
    pub(crate) fn is_idle(&self) -> bool {
        !self.sweeps && self.places.is_empty()
    }

    /// To be called 20 times a second: what there is to tell.
    pub(crate) fn look(&mut self, now: Instant) -> Vec<Observed> {
        self.budget.passed(now.saturating_duration_since(self.now));
        self.now = now;
        // All that this thread did since, its waking and sending among it.
        let spent_ns = thread_ns();
        let spent = spent_ns.saturating_sub(self.paid_ns);
        self.budget.spent(Duration::from_nanos(spent));
        self.paid_ns = spent_ns;
        self.looker.host.tick(now);
        for place in self.refusals.take() {
            self.press(place);
        }
        let mut seen = Vec::new();
        if !self.sweeps {
            seen.extend(self.news_of_places(now));
        } else if self.swept.is_none_or(|swept| now >= swept + SWEEP_EVERY)
            && self.budget.has(self.sweep_cost)
        {
            self.swept = Some(now);
            self.sweep_cost = self.cost(|this| seen.extend(this.sweep()));
            let namespaces = self.namespaces();
            let host = &self.looker.host;
            seen.extend(self.news.news(now, &namespaces, host));
        }
        self.places.retain(|_, until| now < *until);
        if let Some(place) = self.next() {
            self.look_cost = self.cost(|this| seen.extend(this.look_at(place)));
        }
        seen
    }

    /// What the namespaces say in which somebody is looked at.
    fn news_of_places(&mut self, now: Instant) -> Vec<Observed> {
        let mut namespaces: Vec<u32> = self.places.keys().map(|place| place.netns).collect();
        namespaces.dedup();
        self.news.news(now, &namespaces, &self.looker.host)
    }

    /// Does it, and says what it cost.
    fn cost(&mut self, work: impl FnOnce(&mut Self)) -> Duration {
        let began = thread_ns();
        work(self);
        Duration::from_nanos(thread_ns().saturating_sub(began))
    }

    fn press(&mut self, place: Place) {
        if self.places.len() < PLACES_AT_MOST || self.places.contains_key(&place) {
            self.places.insert(place, self.now + LINGER);
        }
    }

    /// Where to look: at the same place until its burst is over, then at the next one, once there is enough for a burst.
    fn next(&mut self) -> Option<Place> {
        if let Some((place, looks)) = self.turn
            && looks < BURST
            && self.places.contains_key(&place)
        {
            self.turn = Some((place, looks + 1));
            return Some(place);
        }
        if !self.budget.has(self.look_cost * BURST) {
            return None;
        }
        let after = self.turn.map(|(place, _)| place);
        let later = |place: &&Place| after.is_none_or(|after| **place > after);
        let next = self.places.keys().find(later).or(self.places.keys().next());
        self.turn = next.map(|place| (*place, 1));
        next.copied()
    }

    fn look_at(&mut self, place: Place) -> Vec<Observed> {
        let Place { netns, addr } = place;
        // A look that fails is one less.
        let found = self.looker.host.listeners_of(netns, addr.port());
        let mut found = found.unwrap_or_default();
        found.retain(|listener| listener.addr == addr);
        found.truncate(MEMBERS_AT_MOST);
        if found.iter().any(is_pressed) {
            self.press(place);
        }
        let of_netns = found.into_iter().map(|listener| (netns, listener));
        self.looker.look(of_netns.collect())
    }

    /// Looks at every queue; tells of those above a quarter of their limit, and of those that were a moment ago.
    fn sweep(&mut self) -> Vec<Observed> {
        if self.now >= self.met + MEET_EVERY {
            self.met = self.now;
            self.looker.host.namespaces().refresh();
        }
        let namespaces = self.namespaces();
        let mut found = Vec::new();
        for netns in namespaces {
            // A namespace that has ended, or may not be asked, has none that can be told of.
            let listeners = self.looker.host.all_listeners(netns);
            for listener in listeners.unwrap_or_default() {
                let place = Place {
                    netns,
                    addr: listener.addr,
                };
                let is_new = is_pressed(&listener) && self.wants(&listener);
                if is_new {
                    self.press(place);
                }
                if is_new || self.places.contains_key(&place) {
                    found.push((netns, listener));
                }
            }
        }
        self.looker.queues(found)
    }

    fn namespaces(&self) -> Vec<u32> {
        let all = self.looker.host.namespaces();
        all.iter()
            .filter(|netns| self.filter.takes_netns(*netns))
            .collect()
    }

    fn wants(&mut self, listener: &ListenerSnapshot) -> bool {
        if !self.filter.picks_listeners() {
            return true;
        }
        let (owner, cgroup) = self.looker.host.identity(listener);
        self.filter
            .takes_row(listener.addr, &owner, cgroup.as_deref())
    }
}

const fn is_pressed(listener: &ListenerSnapshot) -> bool {
    let (len, limit) = (listener.accept_queue_len, listener.accept_queue_limit);
    len > 0 && len as u64 * 4 > limit as u64
}
