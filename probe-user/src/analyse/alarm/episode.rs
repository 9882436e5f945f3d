//! One incident, from its begin to its end.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use super::window::Window;
use crate::{
    analyse::{clients::Clients, facts::named, incident::CLOSE_NS},
    model::{
        HostFacts, ListenerStatsRow, ObservedProcess, ObservedQueue, Sampled, Start,
        alarm::{Alarm, Phase, Refusing, Said},
        incident::Place,
        kind::Kind,
        netns_name::NetnsName,
        observation::Observation,
        tier::Tier,
    },
};

/// How often one that lasts is told of.
const EVERY_NS: u64 = 10_000_000_000;

/// What is known is analysed afresh when it is so old: an incident may last for days.
const WINDOW_NS: u64 = 60_000_000_000;

/// What is known of so short a time says less than what was said before.
const YOUNG_NS: u64 = 5_000_000_000;

/// A queue that was full when it was looked at last is taken for full for so long: looks may come late.
const FULL_NS: u64 = 5_000_000_000;

/// Client addresses of one incident that are remembered.
const CLIENTS_AT_MOST: usize = 4096;

/// Listeners of one place that are named.
const LISTENERS_AT_MOST: usize = 32;

/// Causes, and with them listeners, that are counted apart.
const COUNTS_AT_MOST: usize = 1024;

/// One incident.
pub(super) struct Episode {
    id: u64,
    place: Place,
    start: Box<Start>,
    start_ns: u64,
    last_ns: u64,
    /// When a look found the queue over its limit last.
    full_ns: u64,
    /// It was when it was looked at last.
    is_full: bool,
    told_ns: Option<u64>,
    netns_name: Option<Arc<NetnsName>>,
    causes: BTreeMap<String, u64>,
    listeners: BTreeMap<u64, Refusing>,
    clients: Clients,
    clients_exact: bool,
    /// Lines that were lost meanwhile.
    lost: u64,
    accept_queue: Option<(u32, u32)>,
    looks: u64,
    facts: Option<HostFacts>,
    window: Window,
    /// What was said when the window before ended.
    said: Vec<Said>,
}

impl Episode {
    pub(super) fn begin(
        id: u64,
        place: Place,
        start: &Start,
        mono_ns: u64,
        facts: Option<&HostFacts>,
    ) -> Self {
        Self {
            id,
            place,
            start: Box::new(start.clone()),
            start_ns: mono_ns,
            last_ns: mono_ns,
            full_ns: 0,
            is_full: false,
            told_ns: None,
            netns_name: None,
            causes: BTreeMap::new(),
            listeners: BTreeMap::new(),
            clients: Clients::default(),
            clients_exact: true,
            lost: 0,
            accept_queue: None,
            looks: 0,
            facts: facts.cloned(),
            window: Window::begin(place, start, mono_ns, facts),
            said: Vec::new(),
        }
    }

    /// Takes an event of its listener; 1 where it was looked at closely.
    pub(super) fn event(&mut self, seen: &Observation, has_room: bool) -> usize {
        let event = &seen.event;
        // Who is gone has no queue.
        self.is_full &= event.kind != Kind::ListenerClosed;
        if event.kind.is_refusal() {
            self.start_ns = self.start_ns.min(event.mono_ns);
            self.last_ns = self.last_ns.max(event.mono_ns);
            self.window.refused(seen);
            if let Some(at) = event.listener {
                self.deepest((at.accept_queue_len, at.accept_queue_limit));
            }
            let known = self.clients.count();
            self.clients.add_of_few(seen, CLIENTS_AT_MOST);
            self.clients_exact &=
                event.client.is_some() && (known < CLIENTS_AT_MOST || self.clients.count() > known);
            if self.netns_name.is_none() {
                self.netns_name.clone_from(&seen.netns_name);
            }
        }
        usize::from(self.window.event(seen, has_room))
    }

    pub(super) fn sampled(&mut self, mono_ns: u64, sampled: &Sampled) {
        if sampled.kind.is_refusal() {
            self.last_ns = self.last_ns.max(mono_ns);
            self.clients_exact &= sampled.clients_exact;
        }
        if self.netns_name.is_none() {
            self.netns_name.clone_from(&sampled.netns_name);
        }
        self.window.sampled(mono_ns, sampled);
    }

    pub(super) fn figures(&mut self, mono_ns: u64, rows: &[ListenerStatsRow]) {
        self.window.figures(mono_ns, rows);
    }

    pub(super) const fn lost(&mut self, lines: u64) {
        self.lost += lines;
    }

    pub(super) const fn residual(&mut self, news: i64) {
        self.window.residual(news);
    }

    pub(super) fn host(&mut self, mono_ns: u64, facts: &HostFacts) {
        self.facts = Some(facts.clone());
        self.window.host(mono_ns, facts);
    }

    /// A look at its queue, with the processes of that look.
    pub(super) fn look(&mut self, queue: &ObservedQueue, processes: &[ObservedProcess]) {
        let snapshot = &queue.snapshot;
        self.looks += 1;
        self.is_full = queue.is_over_its_limit();
        if self.is_full {
            self.full_ns = self.full_ns.max(snapshot.taken_mono_ns);
        }
        self.deepest((snapshot.accept_queue_len, snapshot.accept_queue_limit));
        self.window.look(queue, processes);
    }

    fn deepest(&mut self, queue: (u32, u32)) {
        self.accept_queue = self.accept_queue.max(Some(queue));
    }

    /// When it is over, if nothing happens any more.
    fn over_ns(&self) -> u64 {
        let close = if self.is_full { FULL_NS } else { CLOSE_NS };
        let full_ns = self.full_ns.saturating_add(close);
        self.last_ns
            .saturating_add(CLOSE_NS)
            .max(full_ns)
            .saturating_add(1)
    }

    /// When there is something to tell.
    pub(super) fn due_ns(&self) -> u64 {
        let again = self.told_ns.map_or(0, |told| told.saturating_add(EVERY_NS));
        again.min(self.over_ns())
    }

    /// What there is to tell by then.
    pub(super) fn phase(&self, now_ns: u64) -> Option<Phase> {
        match self.told_ns {
            None => Some(Phase::Begin),
            Some(_) if now_ns >= self.over_ns() => Some(Phase::End),
            Some(told) if now_ns >= told.saturating_add(EVERY_NS) => Some(Phase::Update),
            Some(_) => None,
        }
    }

    /// Tells it; `closely` is what all incidents together have looked at.
    pub(super) fn tell(&mut self, phase: Phase, now_ns: u64, closely: &mut usize) -> Alarm {
        // From begin to begin, whatever a line took to come.
        self.told_ns = match self.told_ns {
            Some(told) if phase == Phase::Update && now_ns < told + 2 * EVERY_NS => {
                Some(told + EVERY_NS)
            }
            _ => Some(now_ns),
        };
        let age_ns = now_ns.saturating_sub(self.window.began_ns);
        self.take_counts();
        let mut verdicts = Vec::new();
        if phase != Phase::Begin {
            let is_young = age_ns < YOUNG_NS && !self.said.is_empty();
            verdicts = if is_young {
                self.said.clone()
            } else {
                self.window.verdicts(now_ns)
            };
        }
        if phase == Phase::End || phase == Phase::Cut {
            *closely = closely.saturating_sub(self.window.closely);
        } else if age_ns >= WINDOW_NS {
            *closely = closely.saturating_sub(self.window.closely);
            self.said.clone_from(&verdicts);
            let facts = self.facts.as_ref();
            self.window = Window::begin(self.place, &self.start, now_ns, facts);
        }
        self.alarm(phase, now_ns, verdicts)
    }

    /// What was counted since this was last asked.
    fn take_counts(&mut self) {
        for (name, n) in self.window.news() {
            let cause = named(name.kind, name.cause.as_ref());
            if self.causes.len() < COUNTS_AT_MOST || self.causes.contains_key(&cause) {
                *self.causes.entry(cause).or_default() += n;
            }
            let has_room = self.listeners.len() < COUNTS_AT_MOST;
            let refusing = match self.listeners.entry(name.cookie) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) if has_room => new.insert(Refusing {
                    cookie: name.cookie,
                    owner: Arc::from([]),
                    cgroup: None,
                    drops: 0,
                }),
                Entry::Vacant(_) => continue,
            };
            refusing.drops += n;
            if refusing.owner.is_empty() {
                refusing.owner = Arc::clone(&name.owner);
            }
            if refusing.cgroup.is_none() {
                refusing.cgroup.clone_from(&name.cgroup);
            }
        }
    }

    fn alarm(&self, phase: Phase, now_ns: u64, verdicts: Vec<Said>) -> Alarm {
        let mut listeners: Vec<Refusing> = self.listeners.values().cloned().collect();
        listeners.sort_by_key(|one| (Reverse(one.drops), one.cookie));
        listeners.truncate(LISTENERS_AT_MOST);
        Alarm {
            id: self.id,
            phase,
            mono_ns: now_ns,
            start_ns: self.start_ns,
            last_ns: self.last_ns,
            netns: self.place.netns,
            netns_name: self.netns_name.clone(),
            addr: self.place.addr,
            listeners,
            causes: self.causes.clone(),
            at_least: self.lost > 0,
            clients: self.clients.count() as u64,
            clients_exact: self.clients_exact,
            top_clients: self.clients.top(),
            accept_queue: self.accept_queue.filter(|(_, limit)| *limit > 0),
            verdicts,
            doubts: self.doubts(phase),
            untold: 0,
        }
    }

    /// What is missing that a verdict rests on.
    fn doubts(&self, phase: Phase) -> Vec<String> {
        let mut doubts = Vec::new();
        if phase == Phase::Begin {
            return doubts;
        }
        if self.lost > 0 {
            doubts.push(format!(
                "{} lines were lost meanwhile: some of these may have been of it",
                self.lost
            ));
        }
        if self.looks == 0 && self.start.tier != Tier::Counters {
            doubts.push(
                "nobody looked at its queue and its threads: it was too short, or too many refused at once".into(),
            );
        }
        // What is left out of the lines is in no verdict.
        let is_left_out =
            |words: &&String| words.starts_with("cause ") || words.starts_with("client ");
        let left_out = self.start.filters.iter().filter(is_left_out);
        doubts.extend(left_out.map(|words| format!("only this was watched: {words}")));
        doubts
    }
}
