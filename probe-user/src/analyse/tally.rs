//! The exact counts of the kernel side, by kind, by cause and by listener: the
//! counts of a watch come in, the figures of its summary go out.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use probe_common::{CountKey, CountValue, flag};

use crate::{
    cause, decode,
    filter::Filter,
    model::{
        Causes, Counts, ListenerTally,
        cause::{Cause, Reasons},
        evidence::Evidence,
        gone::{Others, TOGETHER},
        kind::{Kind, Stage},
        observation::Observation,
    },
};

type All = HashMap<CountKey, CountValue>;

/// What was shown, where only a look in user space could tell what it was.
#[derive(Debug, Default)]
pub struct Shown {
    /// They are few: kinds and causes have names of their own, and the kernel has some hundred reasons.
    all: Vec<(Happened, u64)>,
    /// Where the one is that was shown last: the next is most often like it.
    newest: usize,
}

/// What is counted together.
#[derive(Debug)]
struct Happened {
    kind: Kind,
    stage: Option<Stage>,
    cause: Option<Cause>,
}

impl Shown {
    /// Counts what was shown.
    pub fn add(&mut self, seen: &Observation) {
        let (kind, stage) = (seen.event.kind, seen.event.stage);
        let cause = seen.cause.as_ref();
        let is_same = |(one, _): &(Happened, u64)| {
            (one.kind, one.stage) == (kind, stage) && Cause::is_same(one.cause.as_ref(), cause)
        };
        if !self.all.get(self.newest).is_some_and(is_same) {
            let known = self.all.iter().position(is_same);
            self.newest = known.unwrap_or_else(|| {
                let cause = cause.cloned();
                self.all.push((Happened { kind, stage, cause }, 0));
                self.all.len() - 1
            });
        }
        if let Some((_, n)) = self.all.get_mut(self.newest) {
            *n += 1;
        }
    }

    fn kinds(&self) -> Counts {
        let mut kinds = Counts::new();
        for (one, n) in &self.all {
            *kinds.entry((one.kind, one.stage)).or_default() += n;
        }
        kinds
    }

    fn causes(&self) -> Causes {
        let mut causes = Causes::new();
        for (one, n) in &self.all {
            if let Some(cause) = &one.cause {
                let name = (one.kind, cause.id.clone().into_owned());
                *causes.entry(name).or_default() += n;
            }
        }
        causes
    }
}

/// Figures of the whole watch.
#[derive(Debug, Default)]
pub struct Figures {
    /// How often what happened, and at which stage.
    pub counts: Counts,
    /// How often for which cause.
    pub causes: Causes,
    /// Of each listener that refused somebody.
    pub listeners: Vec<ListenerTally>,
    /// Of those that have no counts of their own.
    pub others: Others,
}

/// What a tally is made with.
pub struct Tally<'a> {
    /// What is wanted.
    pub filter: &'a Filter,
    /// Retransmits and resets of every connection are wanted, not of attempts only.
    pub all_events: bool,
    /// What this kernel calls its reasons.
    pub reasons: &'a Reasons,
    /// What is known of a listener, by the name that the counts have for it.
    pub known: &'a foldhash::HashMap<u64, ListenerTally>,
    /// What had a line.
    pub shown: &'a Shown,
}

impl Tally<'_> {
    /// What happened between two readings of the counts.
    pub fn between(&self, base: &All, last: &All) -> Figures {
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
            if !what.0.is_refusal() {
                continue;
            }
            if matches!(key.listener, 0 | TOGETHER) {
                let others = &mut figures.others;
                *others.counts.entry(what).or_default() += events;
                if let Some(cause) = cause {
                    let name = (what.0, cause.id.into_owned());
                    *others.causes.entry(name).or_default() += events;
                }
            } else {
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
            .sort_by_key(|tally| std::cmp::Reverse(tally.refusals()));
        figures
    }

    /// What the counts cannot tell.
    fn add_shown(&self, figures: &mut Figures) {
        let from_shown = |kind: Kind| {
            matches!(kind, Kind::PacketDrop | Kind::Eased)
                || self.filter.picks_events() && !kind.is_decision()
        };
        let kinds = self.shown.kinds().into_iter();
        let kinds = kinds.filter(|((kind, _), _)| from_shown(*kind));
        figures.counts.extend(kinds);
        let by_look = |kind: Kind| kind == Kind::Refused || from_shown(kind);
        let causes = self.shown.causes().into_iter();
        let causes = causes.filter(|((kind, _), _)| by_look(*kind));
        figures.causes.extend(causes);
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
            // Of some only user space sees that it has ended.
            Kind::Eased => false,
            // What is no decision at a listener is known by owner and client only where it was shown.
            _ if !self.filter.only.is_empty() && !kind.is_decision() => false,
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
        self.takes_listener(key) && self.takes_cause(key)
    }

    fn takes_listener(&self, key: &CountKey) -> bool {
        key.listener == TOGETHER || self.takes_name(key.listener)
    }

    /// Whether the listener of this name is among those that were asked for.
    pub fn takes_name(&self, name: u64) -> bool {
        let takes = |tally: &ListenerTally| {
            tally.addr.is_some_and(|addr| {
                self.filter
                    .takes_row(addr, &tally.owner, tally.cgroup.as_deref())
            })
        };
        !self.filter.picks_listeners() || self.known.get(&name).is_some_and(takes)
    }

    fn takes_cause(&self, key: &CountKey) -> bool {
        let only = &self.filter.only;
        if only.causes.is_empty() {
            return true;
        }
        let evidence = Evidence::from(key);
        decode::classify(&evidence).is_ok_and(|(kind, stage)| {
            only.takes_cause(cause::of(kind, stage, &evidence, self.reasons).as_ref())
        })
    }

    /// The listener of a count.
    pub fn listener(&self, key: &CountKey) -> ListenerTally {
        let unknown = || ListenerTally {
            // Those that are told of together have none.
            cookie: if key.listener == TOGETHER {
                0
            } else {
                key.listener
            },
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

#[cfg(test)]
mod tests {
    use probe_common::{hook, state};

    use super::*;
    use crate::{
        filter::{Only, Whose},
        model::owner::Owner,
    };

    fn overflow(listener: u64, hook: u8) -> CountKey {
        CountKey {
            listener,
            netns: 1,
            moved: 3,
            flags: 0,
            reason: 0,
            hook,
            sock_state: state::LISTEN,
            generation: 0,
        }
    }

    fn held_by(cookie: u64, comm: &str) -> ListenerTally {
        ListenerTally {
            cookie,
            netns: 1,
            addr: Some(([127, 0, 0, 1], 80).into()),
            owner: Arc::from([Owner {
                pid: cookie as u32,
                comm: comm.into(),
                exe: None,
            }]),
            cgroup: None,
            counts: BTreeMap::new(),
            causes: Causes::new(),
        }
    }

    /// Listener 5 of nginx refused three SYNs, 6 of another one SYN and one cookie ACK, and this host sent one SYN again.
    fn figures(filter: &Filter) -> Figures {
        let value = |events| CountValue {
            events,
            ..CountValue::default()
        };
        let last = HashMap::from([
            (overflow(5, hook::CONN_REQUEST), value(3)),
            (overflow(6, hook::CONN_REQUEST), value(1)),
            (overflow(6, hook::COOKIE_SOCK), value(1)),
            (
                CountKey {
                    moved: 0,
                    sock_state: state::SYN_SENT,
                    ..overflow(0, hook::RETRANSMIT_SKB)
                },
                value(1),
            ),
        ]);
        let tally = Tally {
            filter,
            all_events: false,
            reasons: &Reasons::default(),
            known: &[(5, held_by(5, "nginx")), (6, held_by(6, "other"))]
                .into_iter()
                .collect(),
            shown: &Shown::default(),
        };
        tally.between(&All::new(), &last)
    }

    fn check(only: Only, overflows: u64, retransmits: u64, rows: &[u64]) {
        let filter = Filter {
            only,
            ..Filter::default()
        };
        let figures = figures(&filter);
        let of_kind = |wanted: Kind| {
            let counts = figures.counts.iter();
            let of_kind = counts.filter(|((kind, _), _)| *kind == wanted);
            of_kind.map(|(_, n)| n).sum::<u64>()
        };
        assert_eq!(of_kind(Kind::Overflow), overflows, "{filter:?}");
        assert_eq!(of_kind(Kind::Retransmit), retransmits, "{filter:?}");
        let found: Vec<u64> = figures.listeners.iter().map(|row| row.cookie).collect();
        assert_eq!(found, rows, "{filter:?}");
    }

    #[test]
    fn those_that_are_told_of_together_have_counts_and_no_row() {
        let value = CountValue {
            events: 4,
            ..CountValue::default()
        };
        let key = overflow(TOGETHER, hook::CONN_REQUEST);
        let filter = Filter::default();
        let tally = Tally {
            filter: &filter,
            all_events: false,
            reasons: &Reasons::default(),
            known: &foldhash::HashMap::default(),
            shown: &Shown::default(),
        };
        let figures = tally.between(&All::new(), &HashMap::from([(key, value)]));
        assert!(figures.listeners.is_empty());
        assert_eq!(figures.others.counts, figures.counts);
        assert_eq!(figures.others.counts.values().sum::<u64>(), 4);
        assert_eq!(tally.listener(&key).cookie, 0);
    }

    #[test]
    fn rows_and_counts_follow_what_is_known_of_the_listener() {
        let only = Only::default;
        let of = |comms| Only {
            whose: Whose {
                comms,
                ..Whose::default()
            },
            ..only()
        };
        check(only(), 5, 1, &[5, 6]);
        let comms = vec!["nginx".parse().expect("a name")];
        check(of(comms), 3, 0, &[5]);
        let causes = vec!["ghost-connection".to_owned()];
        check(Only { causes, ..only() }, 1, 0, &[6]);
        // Counts know no clients; what is no refusal is counted as it was shown.
        let clients = vec!["10.0.0.1".parse().expect("a client")];
        check(Only { clients, ..only() }, 5, 0, &[5, 6]);
        let comms = vec!["nobody".parse().expect("a name")];
        check(of(comms), 0, 0, &[]);
    }
}
