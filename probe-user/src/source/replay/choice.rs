//! Which recorded lines are told: filters and times, by the rules of a watch. What a line does not know of itself (a line
//! of what was left out has no owner) is taken from the events before it, as a watch takes it.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use super::{Recorded, What, when};
use crate::{
    analyse::span::Span,
    filter::Filter,
    model::{
        Line, Sampled, Start, Tick, alarm::Refusing, cgroup::Cgroup, observation::Observation,
        owner::Owner, story::Story,
    },
};

/// Whose a listener is, as the last event had it.
#[derive(Debug, Default)]
struct Holder {
    owner: Arc<[Owner]>,
    cgroup: Option<Arc<Cgroup>>,
}

/// Namespace, cookie (0 without one) and address of a listener.
type Name = (u32, u64, SocketAddr);

/// The first and the last instant that are told, as they were given.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// The first instant, as it was given.
    pub since: Option<String>,
    /// The last instant, as it was given.
    pub until: Option<String>,
}

/// What is asked for of a recording.
#[derive(Debug, Default)]
pub struct Choice {
    filter: Filter,
    bounds: Bounds,
    /// The bounds as CLOCK_MONOTONIC of the recording has them; without an end, the summary is told too.
    since_ns: u64,
    until_ns: Option<u64>,
    holders: HashMap<Name, Holder>,
    span: Option<Span>,
}

impl Choice {
    /// What passes the filter, between the bounds.
    pub fn new(filter: Filter, bounds: Bounds) -> Self {
        Self {
            filter,
            bounds,
            ..Self::default()
        }
    }

    /// Another recording begins: nothing is known of its listeners. One sentence if what is asked for makes no sense in it.
    pub fn begin(&mut self, start: &Start) -> Result<(), String> {
        self.filter.only.check_recorded(start.tier)?;
        let bound = |given: &Option<String>| match given {
            Some(text) => when(text, start.clock, start.mono_ns).map(Some),
            None => Ok(None),
        };
        self.since_ns = bound(&self.bounds.since)?.unwrap_or(0);
        self.until_ns = bound(&self.bounds.until)?;
        self.holders.clear();
        let is_bound = self.bounds.since.is_some() || self.bounds.until.is_some();
        self.span = is_bound.then(|| Span::new(self.since_ns, self.until_ns, self.filter.netns));
        Ok(())
    }

    /// To be told of every line that was recorded, in time or not.
    pub fn hear(&mut self, line: &Line<'_>) {
        if let Some(span) = &mut self.span {
            span.line(line);
        }
    }

    /// Something of the recording is missing here.
    pub const fn gap(&mut self) {
        if let Some(span) = &mut self.span {
            span.gap();
        }
    }

    /// The recording is over: what the kernel counted between the bounds, in sentences, where any were given.
    pub fn counted(&mut self) -> Vec<String> {
        let Some(span) = self.span.take() else {
            return Vec::new();
        };
        let since = self.bounds.since.as_deref().unwrap_or("the beginning");
        let until = self.bounds.until.as_deref().unwrap_or("the end");
        span.end().sentences(&format!("from {since} to {until}"))
    }

    /// Whether an instant (CLOCK_MONOTONIC, in nanoseconds) is between the bounds.
    pub fn is_in_time(&self, mono_ns: u64) -> bool {
        self.since_ns <= mono_ns && self.until_ns.is_none_or(|until| mono_ns <= until)
    }

    /// Whether it is told. Of a line of the `counters` tier, candidates that were not asked for are taken out.
    pub fn takes(&mut self, recorded: &mut Recorded) -> bool {
        if let Recorded::Event(seen) = recorded {
            self.remember(seen);
        }
        let is_in_time = self.is_in_time(recorded.mono_ns());
        let filter = &self.filter;
        let is_netns = |netns: u32| filter.netns.is_none_or(|only| only == netns);
        let item = match recorded {
            Recorded::Event(seen) => {
                return is_in_time && filter.takes(&seen.event) && filter.takes_observation(seen);
            }
            Recorded::Other(item) => item,
        };
        match &mut item.what {
            What::Start(_) => true,
            // Of all that was recorded, whatever is told of it.
            What::Summary(_) => self.until_ns.is_none(),
            _ if !is_in_time => false,
            What::Loss(_)
            | What::Heartbeat(_)
            | What::Observed(_)
            | What::Clock(_)
            | What::Ended => true,
            What::Residual(residual) => is_netns(residual.netns),
            What::Tick(tick) => is_netns(tick.netns) && narrow(filter, tick),
            What::Sampled(sampled) => is_netns(sampled.netns) && self.takes_sampled(sampled),
            What::Stats(row) => {
                let takes = |addr| filter.takes_row(addr, &row.owner, row.cgroup.as_deref());
                is_netns(row.netns) && row.addr.is_none_or(takes)
            }
            What::Incident(alarm) => {
                let mut all = alarm.listeners.iter();
                let takes = |one: &Refusing| {
                    filter.takes_row(alarm.addr, &one.owner, one.cgroup.as_deref())
                };
                is_netns(alarm.netns)
                    && filter.takes_listener(alarm.addr)
                    && (alarm.listeners.is_empty() || all.any(takes))
            }
            What::Story(story) => is_netns(story.attempt.netns) && takes_story(filter, story),
        }
    }

    fn remember(&mut self, seen: &Observation) {
        let Some(listener) = seen.event.listener else {
            return;
        };
        let name = (seen.event.netns, listener.cookie, listener.addr);
        let holder = self.holders.entry(name).or_default();
        if !seen.owner.is_empty() {
            holder.owner = Arc::clone(&seen.owner);
        }
        if seen.cgroup.is_some() {
            holder.cgroup.clone_from(&seen.cgroup);
        }
    }

    /// It stands for many clients, so none is asked for.
    fn takes_sampled(&self, sampled: &Sampled) -> bool {
        let filter = &self.filter;
        let nobody = Holder::default();
        let takes_listener = || {
            sampled.listener.is_some_and(|addr| {
                let name = (sampled.netns, sampled.cookie, addr);
                let holder = self.holders.get(&name).unwrap_or(&nobody);
                filter.takes_row(addr, &holder.owner, holder.cgroup.as_deref())
            })
        };
        (!filter.picks_listeners() || takes_listener())
            && filter.only.takes_cause(sampled.cause.as_ref())
    }
}

/// With a listener asked for, what another one may have refused is not its.
fn narrow(filter: &Filter, tick: &mut Tick) -> bool {
    if !filter.picks_listeners() {
        return true;
    }
    tick.candidates.retain(|candidate| {
        let (owner, cgroup) = (&candidate.owner, candidate.cgroup.as_deref());
        filter.takes_row(candidate.snapshot.addr, owner, cgroup)
    });
    tick.no_candidates.is_some() || !tick.candidates.is_empty()
}

/// The story of an attempt is told if one of its events would be, as far as it still knows them.
fn takes_story(filter: &Filter, story: &Story) -> bool {
    let whose = &story.whose;
    let addr = match story.listener {
        Some((_, addr)) => addr,
        // As with an event whose listener is not known, the address that the client asked for decides.
        None => story.attempt.local,
    };
    let causes = &filter.only.causes;
    let has_cause = |wanted: &String| {
        let names = story.causes.keys();
        names
            .filter_map(|name| name.split_once('/'))
            .any(|(_, cause)| cause == wanted)
    };
    filter.takes_row(addr, &whose.owner, whose.cgroup.as_deref())
        && filter.only.takes_client(story.attempt.client.ip())
        && (causes.is_empty() || causes.iter().any(has_cause))
}

#[cfg(test)]
mod tests;
