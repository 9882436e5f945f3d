//! The exact counts of the kernel side, by kind, by cause and by listener: the
//! counts of a watch come in, the figures of its summary go out.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use probe_common::{CountKey, CountValue, flag};

use super::filter::Filter;
use crate::{
    cause::{self, Reasons},
    decode::{self, Evidence, Kind, Stage},
    report::{Causes, ListenerTally},
};

type Counts = HashMap<CountKey, CountValue>;

/// What was shown, where only a look in user space could tell what it was.
#[derive(Debug, Default)]
pub struct Shown {
    pub kinds: BTreeMap<(Kind, Option<Stage>), u64>,
    pub causes: Causes,
}

/// Figures of the whole watch.
#[derive(Debug, Default)]
pub struct Figures {
    pub counts: BTreeMap<(Kind, Option<Stage>), u64>,
    pub causes: Causes,
    pub listeners: Vec<ListenerTally>,
}

/// What a tally is made with.
pub struct Tally<'a> {
    pub filter: &'a Filter,
    pub all_events: bool,
    pub reasons: &'a Reasons,
    /// What is known of a listener, by the name that the counts have for it.
    pub known: &'a HashMap<u64, ListenerTally>,
    pub shown: &'a Shown,
}

impl Tally<'_> {
    /// What happened between two readings of the counts.
    pub fn between(&self, base: &Counts, last: &Counts) -> Figures {
        let mut figures = Figures::default();
        let mut listeners: HashMap<u64, ListenerTally> = HashMap::new();
        for (key, value) in last {
            let before = base.get(key).map_or(0, |value| value.events);
            let events = value.events.saturating_sub(before);
            let evidence = Evidence::from(key);
            let Ok(what) = decode::classify(&evidence) else {
                continue;
            };
            if events == 0 || !self.takes(key, what.0) {
                continue;
            }
            *figures.counts.entry(what).or_default() += events;
            let cause = cause::of(what.0, what.1, &evidence, self.reasons);
            if let Some(cause) = &cause {
                let name = (what.0, cause.id.clone().into_owned());
                *figures.causes.entry(name).or_default() += events;
            }
            if key.listener != 0 && what.0.is_refusal() {
                let tally = self.listener(key);
                // A listener that has no cookie yet is known by the name its counts have.
                let name = if tally.cookie == 0 {
                    key.listener
                } else {
                    tally.cookie
                };
                let tally = listeners.entry(name).or_insert(tally);
                *tally.counts.entry(what).or_default() += events;
                if let Some(cause) = cause {
                    let name = (what.0, cause.id.into_owned());
                    *tally.causes.entry(name).or_default() += events;
                }
            }
        }
        self.add_shown(&mut figures);
        figures.listeners = listeners.into_values().collect();
        figures
            .listeners
            .sort_by_key(|tally| std::cmp::Reverse(tally.counts.values().sum::<u64>()));
        figures
    }

    /// What the counts cannot tell.
    fn add_shown(&self, figures: &mut Figures) {
        let from_shown = |kind: Kind| {
            kind == Kind::PacketDrop || !self.filter.listeners.is_empty() && !kind.is_decision()
        };
        let kinds = self.shown.kinds.iter().filter(|((k, _), _)| from_shown(*k));
        for (what, n) in kinds {
            figures.counts.insert(*what, *n);
        }
        let by_look = |kind: Kind| kind == Kind::Refused || from_shown(kind);
        let causes = self.shown.causes.iter().filter(|((k, _), _)| by_look(*k));
        for (what, n) in causes {
            figures.causes.insert(what.clone(), *n);
        }
        let of_kind = |kind: Kind| figures.counts.iter().filter(move |((k, _), _)| *k == kind);
        let refused: u64 = of_kind(Kind::Refused).map(|(_, n)| n).sum();
        let explained: u64 = figures
            .causes
            .iter()
            .filter(|((kind, _), _)| *kind == Kind::Refused)
            .map(|(_, n)| n)
            .sum();
        if refused > explained {
            let name = (Kind::Refused, "undetermined".to_owned());
            figures.causes.insert(name, refused - explained);
        }
    }

    /// Whether a count belongs to what is wanted.
    fn takes(&self, key: &CountKey, kind: Kind) -> bool {
        let is_news = match kind {
            // Which of them were sent to a listener is found out one by one.
            Kind::PacketDrop => false,
            Kind::ListenerClosed => self.all_events || key.flags & flag::QUEUED != 0,
            _ => true,
        };
        is_news && self.takes_key(key)
    }

    /// Whether a count passes the filter.
    pub fn takes_key(&self, key: &CountKey) -> bool {
        if self.filter.netns.is_some_and(|netns| netns != key.netns) {
            return false;
        }
        self.filter.listeners.is_empty()
            || self
                .known
                .get(&key.listener)
                .and_then(|tally| tally.addr)
                .is_some_and(|addr| self.filter.takes_listener(addr))
    }

    /// The listener of a count.
    pub fn listener(&self, key: &CountKey) -> ListenerTally {
        let unknown = || ListenerTally {
            cookie: key.listener,
            netns: key.netns,
            addr: None,
            owner: Arc::from([]),
            cgroup: None,
            counts: BTreeMap::new(),
            causes: Causes::new(),
        };
        self.known
            .get(&key.listener)
            .cloned()
            .unwrap_or_else(unknown)
    }
}
