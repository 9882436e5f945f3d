//! From observations to the sinks: what passes the filter is counted as shown and written; stories are told beside it, and
//! what was lost.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use foldhash::HashMap;
use probe_common::flag;

use super::Parts;
use crate::{
    analyse::{alarm::Alarms, clients::Clients, stories::Told, tally::Shown},
    enrich::Enricher,
    filter::Filter,
    host::clock::mono_ns,
    model::{
        Causes, Line, ListenerTally, Loss,
        cgroup::Cgroup,
        event::{Event, ListenerAt},
        gone::Gone,
        kind::Kind,
        observation::Observation,
        owner::Owner,
        story::Story,
    },
    observe::STATS,
    sink::Sinks,
};

/// Where observations end.
pub struct Lines<'a> {
    /// What is wanted.
    pub filter: Filter,
    /// Retransmits and resets of every connection are wanted, not of attempts only.
    pub all_events: bool,
    /// Where lines go.
    pub sinks: Sinks<'a>,
    /// Attempts, and what became of them.
    pub stories: Told,
    /// What had a line.
    pub shown: Shown,
    /// To whom it happened.
    pub clients: Clients,
    /// What is known of a listener, under both of the names the counts may know it by.
    pub listeners: HashMap<u64, ListenerTally>,
    newest: Option<Newest>,
    tells_incidents: bool,
    /// Incidents that go on.
    pub alarms: Alarms,
    /// What of the detail was lost.
    pub loss: Loss,
    told: Loss,
}

/// The listener that was remembered last: most events of a batch are of one, and say the same of it.
struct Newest {
    names: [u64; 2],
    netns: u32,
    addr: SocketAddr,
    owner: Arc<[Owner]>,
    cgroup: Option<Arc<Cgroup>>,
}

impl Newest {
    fn is_of(&self, seen: &Observation, listener: &ListenerAt) -> bool {
        self.names == [listener.cookie, seen.event.sock]
            && self.netns == seen.event.netns
            && self.addr == listener.addr
            && Arc::ptr_eq(&self.owner, &seen.owner)
            && is_same(self.cgroup.as_ref(), seen.cgroup.as_ref())
    }
}

impl<'a> Lines<'a> {
    /// Of a watch, whose rest is left.
    pub fn of(parts: Parts<'a>, sampled: u64) -> (Self, Enricher) {
        let lines = Self {
            filter: parts.filter,
            all_events: parts.request.all_events(),
            sinks: parts.sinks,
            stories: Told::new(parts.request.stories, sampled),
            shown: Shown::default(),
            clients: Clients::default(),
            listeners: HashMap::default(),
            newest: None,
            tells_incidents: parts.tells_incidents,
            alarms: Alarms::default(),
            loss: Loss::default(),
            told: Loss::default(),
        };
        (lines, parts.enricher)
    }

    /// Whether an event is looked at any further.
    pub fn wants(&self, event: &Event) -> bool {
        let is_news = event.kind != Kind::ListenerClosed
            || event.evidence.has(flag::QUEUED)
            || self.all_events;
        is_news && self.filter.takes(event)
    }

    /// Writes a line that is no event.
    pub fn tell(&mut self, line: &Line<'_>) {
        self.sinks.write(line);
        match line {
            Line::Start(start) if self.tells_incidents => {
                self.alarms = Alarms::of(start, Some(STATS));
            }
            line => self.alarms.line(mono_ns(), line),
        }
        self.sinks.flush();
    }

    /// Shows an event, if it is wanted.
    pub fn show(&mut self, seen: &Observation) {
        self.remember_listener(seen);
        if self.stories.are_wanted() {
            let told = self.stories.take(seen, &self.filter);
            self.tell_stories(&told);
        }
        if !self.filter.takes_observation(seen) {
            return;
        }
        self.shown.add(seen);
        self.clients.add(seen);
        self.sinks.write(&Line::Event(seen));
        if self.tells_incidents {
            self.alarms.event(seen);
        }
    }

    /// Tells of incidents what there is to tell by now.
    pub fn tell_incidents(&mut self) {
        let now_ns = mono_ns();
        if self.alarms.is_due(now_ns) {
            for alarm in self.alarms.tell(now_ns) {
                self.sinks.write(&Line::Incident(&alarm));
            }
            self.sinks.flush();
        }
    }

    /// The watch is over: so is what is told of incidents.
    pub fn end_incidents(&mut self) {
        for alarm in self.alarms.end(mono_ns()) {
            self.sinks.write(&Line::Incident(&alarm));
        }
    }

    /// Tells stories that are in order by now.
    pub fn settle_stories(&mut self) {
        let told = self.stories.settle(mono_ns());
        self.tell_stories(&told);
        self.tell_incidents();
    }

    /// Tells these.
    pub fn tell_stories(&mut self, told: &[Story]) {
        for story in told {
            self.sinks.write(&Line::Story(story));
        }
    }

    /// Address and owner of a listener.
    fn remember_listener(&mut self, seen: &Observation) {
        let Some(listener) = seen.event.listener else {
            return;
        };
        let newest = self.newest.as_ref();
        if newest.is_some_and(|newest| newest.is_of(seen, &listener)) {
            return;
        }
        let names = [listener.cookie, seen.event.sock];
        let netns = seen.event.netns;
        self.newest = Some(Newest {
            names,
            netns,
            addr: listener.addr,
            owner: Arc::clone(&seen.owner),
            cgroup: seen.cgroup.clone(),
        });
        for name in names {
            // Without a cookie it has one name only.
            if name == 0 {
                continue;
            }
            let tally = self.listeners.entry(name).or_insert_with(|| ListenerTally {
                cookie: listener.cookie,
                netns,
                addr: None,
                owner: Arc::clone(&seen.owner),
                cgroup: seen.cgroup.clone(),
                counts: BTreeMap::new(),
                causes: Causes::new(),
            });
            // The newest is right: a kernel address may be another listener's by now.
            tally.cookie = listener.cookie;
            tally.netns = netns;
            tally.addr = Some(listener.addr);
            if !seen.owner.is_empty() {
                tally.owner = Arc::clone(&seen.owner);
            }
            if seen.cgroup.is_some() {
                tally.cgroup.clone_from(&seen.cgroup);
            }
        }
    }

    /// These are told of no more.
    pub fn forget(&mut self, gone: &Gone) {
        self.newest = None;
        // What was counted of one under its address is forgotten later than the rest.
        let is_gone = |name: u64, tally: &ListenerTally| {
            gone.namespaces.contains(&tally.netns)
                || gone.listeners.contains_key(&(tally.netns, name))
        };
        self.listeners.retain(|name, tally| !is_gone(*name, tally));
        self.listeners.shrink_to(self.listeners.len() * 2);
    }

    /// What was lost until now, with what the output did not take.
    pub fn loss(&self) -> Loss {
        Loss {
            output_full: self.sinks.lost().map_or(0, |lost| lost.lines),
            ..self.loss
        }
    }

    /// Says what was lost since this was last said.
    pub fn tell_losses(&mut self) {
        let loss = self.loss();
        let news = Loss {
            ring_full: loss.ring_full - self.told.ring_full,
            output_full: loss.output_full - self.told.output_full,
            undecodable: loss.undecodable - self.told.undecodable,
        };
        if news.total() > 0 {
            self.told = loss;
            self.tell(&Line::Loss(&news));
        }
    }
}

fn is_same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}
