//! What a stream says beside the events: lines come in, with their times; looks at queues and processes, incidents, and
//! what namespaces say of themselves go out. Reads no clock.

use std::{collections::BTreeMap, time::Duration};

use super::{around::Surroundings, facts, incident::Incidents, looks::Looks};
use crate::model::{
    HostFacts, Line, Observed, Summary, incident::Told, signals::Signals, sysctls::Sysctls,
};

/// Everything that is known beside the events.
#[derive(Clone, Default)]
pub struct Beside {
    /// What was looked at, by listener and by process.
    pub looks: Looks,
    incidents: Incidents,
    /// What each namespace said first, and last.
    hosts: BTreeMap<u32, (HostFacts, HostFacts)>,
    /// What there was around the port that was asked about, before the watch and after it.
    pub around: Surroundings,
}

impl Beside {
    /// To be told of every line.
    pub fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        match line {
            Line::Start(start) => {
                let every = start.asked.stats_every.map(|every| every.as_nanos() as u64);
                self.incidents.begin(mono_ns, every);
            }
            Line::Observed(Observed::Queue(queue)) => {
                let fact = self.looks.queue(queue);
                self.incidents.take(fact);
            }
            Line::Observed(Observed::Process(process)) => self.looks.process(process),
            Line::Observed(Observed::Host(facts)) => self.host(facts),
            Line::Observed(Observed::Around(around)) => self.around.take(around),
            line => {
                if let Some(fact) = facts::fact(mono_ns, line) {
                    self.incidents.take(fact);
                }
            }
        }
    }

    fn host(&mut self, facts: &HostFacts) {
        let known = self.hosts.entry(facts.netns);
        let (_, last) = known.or_insert_with(|| (facts.clone(), facts.clone()));
        last.clone_from(facts);
    }

    /// The incidents of the watch that this is the summary of.
    pub fn told(&self, summary: &Summary) -> Told {
        self.incidents.told(summary.duration.as_nanos() as u64)
    }

    /// The longest, at least, that a listener accepted nothing while connections waited and it refused.
    pub fn stood_still(&self, summary: &Summary, cookie: u64) -> Duration {
        let told = self.told(summary).incidents.into_iter();
        let of_it = told.filter(|incident| incident.listeners.keys().eq([&cookie]));
        let still = of_it.map(|incident| incident.stood_still());
        still.max().unwrap_or_default()
    }

    /// What the first namespace that said anything said last.
    pub fn any_sysctls(&self) -> Sysctls {
        let first = self.hosts.values().next();
        first.map_or_else(Sysctls::default, |(_, last)| last.sysctls)
    }

    /// Whether that namespace said anything.
    pub fn knows_host(&self, netns: u32) -> bool {
        self.hosts.contains_key(&netns)
    }

    /// Adds what that namespace says. What it has dropped meanwhile is known only where it was asked before, too.
    pub fn add_host(&self, signals: &mut Signals, netns: u32) {
        let Some((first, last)) = self.hosts.get(&netns) else {
            return;
        };
        signals.sysctls = last.sysctls;
        signals.conntrack = last.conntrack;
        signals.is_host_unread = !last.unread.is_empty();
        let meanwhile = first.put_off.zip(last.put_off);
        signals.put_off = meanwhile.map(|(first, last)| (last, last.saturating_sub(first)));
        if first.mono_ns < last.mono_ns {
            signals.somaxconn_before = first.sysctls.somaxconn;
            let both = first.untracked.zip(last.untracked);
            signals.untracked = both.map(|(first, last)| last.saturating_sub(first));
        }
    }
}
