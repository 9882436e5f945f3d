//! What was heard of a port becomes an answer: lines come in, live or from a recording, and when they end, the answer
//! goes out. It asks nobody and reads no clock.

use std::{collections::BTreeSet, time::Duration};

use super::Target;
use crate::{
    analyse::{
        beside::Beside,
        judge::{self, Scope},
        signals::{Heard, signals},
    },
    diagnose::diagnose,
    filter::ClientFilter,
    model::{Answer, Clock, Line, Now, Observed, OfClient, Summary, Tried},
    observe::STATS,
};

pub struct Inquiry {
    target: Target,
    client: Option<ClientFilter>,
    heard: Heard,
    beside: Beside,
    clock: Clock,
    began_ns: u64,
    now: Option<Now>,
    tried: Option<Tried>,
}

impl Inquiry {
    pub fn new(target: Target, client: Option<ClientFilter>) -> Self {
        Self {
            target,
            client,
            heard: Heard::of(client),
            beside: Beside::new(STATS.as_nanos() as u64),
            clock: Clock::of(0),
            began_ns: 0,
            now: None,
            tried: None,
        }
    }

    /// To be told of every line.
    pub fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        match line {
            Line::Start(start) => (self.clock, self.began_ns) = (start.clock, mono_ns),
            Line::Observed(Observed::Before(now)) => self.now = Some(Now::clone(now)),
            Line::Observed(Observed::Tried(tried)) => self.tried = Some(tried.clone()),
            _ => {}
        }
        self.heard.line(mono_ns, line);
        self.beside.line(mono_ns, line);
    }

    /// Namespaces whose facts may matter.
    pub fn namespaces(&self) -> BTreeSet<u32> {
        let now = self.now.iter();
        let asked = now.flat_map(|now| now.only.into_iter().chain([now.netns]));
        let queues = self.beside.looks.queues.keys();
        asked.chain(queues.map(|(netns, _)| *netns)).collect()
    }

    /// Of the watch that ended with this summary.
    pub fn answer(self, summary: &Summary) -> Answer {
        let now = self.now.unwrap_or_default();
        let untold = self.heard.untold() + summary.loss.total();
        let first_drop = self.heard.first_drop_ns;
        let first_drop = first_drop.map(|first| first.saturating_sub(self.began_ns));
        let doubts = doubts(&now, summary);
        let mut signals = signals(self.heard, &self.beside.looks, summary);
        let netns = self.beside.netns(&signals, now.only).unwrap_or(now.netns);
        self.beside.add_host(&mut signals, netns);
        let diagnosis = diagnose(&signals);
        Answer {
            clock: self.clock,
            target: self.target.to_string(),
            client: self.client.map(|client| OfClient {
                who: client.as_given(),
                untold,
            }),
            now,
            signals,
            diagnosis,
            incidents: self.beside.told(summary),
            first_drop: first_drop.map(Duration::from_nanos),
            tried: self.tried,
            tier: summary.tier,
            lost: summary.loss.total(),
            doubts,
        }
    }
}

/// Why something may have happened to its listeners that is in no count.
fn doubts(now: &Now, summary: &Summary) -> Vec<String> {
    let before = now.listeners.iter().map(|listening| listening.netns);
    let refusing = summary.listeners.iter().map(|tally| tally.netns);
    let busy = summary.stats.iter().map(|row| row.netns);
    let namespaces: BTreeSet<u32> = before.chain(refusing).chain(busy).chain(now.only).collect();
    let namespaces: Vec<u32> = namespaces.into_iter().collect();
    let scope = Scope {
        namespaces: (!namespaces.is_empty()).then_some(&namespaces),
        picks_listeners: true,
        reads_all: now.reads_all,
    };
    let mut doubts = now.unasked.clone();
    doubts.extend(judge::doubts(summary, scope));
    doubts
}
