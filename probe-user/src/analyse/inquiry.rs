//! What was heard of a port becomes an answer: lines come in, live or from a recording, and when they end, the answer
//! goes out. It asks nobody and reads no clock.

use std::{collections::BTreeSet, time::Duration};

use super::{
    beside::Beside,
    judge::{self, Scope},
    narrow::{self, Rest, narrowed},
    signals::{Heard, add_unlooked, signals},
};
use crate::{
    diagnose::diagnose,
    filter::{ClientFilter, Filter, ListenerFilter},
    model::{
        Answer, Line, Now, Observed, OfClient, Origin, Start, Summary, Tried,
        flood::names_port,
        signals::{Member, Signals},
    },
};

/// Lines of the kernel's log that are remembered.
const LOG_LINES_AT_MOST: usize = 3;

/// What is asked.
pub struct Asked {
    /// The listener, or where one should be.
    pub target: ListenerFilter,
    /// Only what happened to these clients.
    pub client: Option<ClientFilter>,
    /// Of what is more than this namespace's, only this part.
    pub netns: Option<u32>,
}

/// What is known of the port by now.
pub struct Inquiry {
    target: ListenerFilter,
    client: Option<ClientFilter>,
    /// What is of the target, where a recording has more.
    filter: Filter,
    /// How the watch began.
    start: Start,
    heard: Heard,
    beside: Beside,
    now: Option<Now>,
    tried: Option<Tried>,
    kernel_log: Vec<String>,
    rest: Rest,
}

impl Inquiry {
    /// Of the watch that begins with `start`.
    pub fn new(asked: &Asked, start: &Start) -> Self {
        let mut inquiry = Self {
            target: asked.target,
            client: asked.client,
            filter: Filter {
                listeners: vec![asked.target],
                netns: asked.netns,
                ..Filter::default()
            },
            start: start.clone(),
            heard: Heard::of(asked.client),
            beside: Beside::default(),
            now: None,
            tried: None,
            kernel_log: Vec::new(),
            rest: Rest::default(),
        };
        inquiry.tell(start.mono_ns, &Line::Start(start));
        inquiry
    }

    /// To be told of every line.
    pub fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        match line {
            Line::Observed(Observed::Before(now)) => self.now = Some(Now::clone(now)),
            Line::Observed(Observed::Tried(tried)) => {
                self.heard.tried(tried);
                self.tried = Some(tried.clone());
            }
            Line::Observed(Observed::Log(log)) => {
                let is_its = names_port(&log.says, self.target.port());
                if is_its && self.kernel_log.len() < LOG_LINES_AT_MOST {
                    self.kernel_log.push(log.says.clone());
                }
            }
            _ if narrow::takes(&self.filter, line) => self.tell(mono_ns, line),
            _ => {}
        }
    }

    fn tell(&mut self, mono_ns: u64, line: &Line<'_>) {
        self.heard.line(mono_ns, line);
        self.beside.line(mono_ns, line);
        self.rest.line(line);
    }

    /// Namespaces whose facts may matter.
    pub fn namespaces(&self) -> BTreeSet<u32> {
        let now = self.now.iter();
        let asked = now.flat_map(|now| now.only.into_iter().chain([now.netns]));
        let queues = self.beside.looks.queues.keys();
        asked.chain(queues.map(|(netns, _)| *netns)).collect()
    }

    /// Whether the watch was of the target alone.
    fn is_own(&self) -> bool {
        let target = self.target.to_string();
        let now = self.now.as_ref();
        now.is_some_and(|now| {
            now.target == target && (self.filter.netns.is_none() || self.filter.netns == now.only)
        })
    }

    /// Of the watch that ended with this summary.
    pub fn answer(mut self, summary: &Summary) -> Answer {
        let others = std::mem::take(&mut self.rest.others);
        let mut part;
        let mut doubts = Vec::new();
        let summary = if self.is_own() {
            summary
        } else {
            let target = self.target.to_string();
            doubts.extend(self.rest.doubts(&self.start, summary, &target));
            let filter = &self.filter;
            let is_there = |netns, addr| filter.takes_netns(netns) && filter.takes_listener(addr);
            part = narrowed(summary, is_there, others);
            keep_theirs(&mut part);
            // Who listened on another port was looked at; who did here was not.
            self.now = self.now.take().filter(|now| {
                let asked: Result<ListenerFilter, _> = now.target.parse();
                asked.is_ok_and(|asked| asked.port() == self.target.port())
            });
            &part
        };
        doubts.extend(self.doubts(summary));
        let only = self
            .filter
            .netns
            .or(self.now.as_ref().and_then(|now| now.only));
        let heard = std::mem::take(&mut self.heard);
        let untold = heard.untold() + summary.loss.total();
        let first_drop = heard.first_drop_ns;
        let first_drop = first_drop.map(|first| first.saturating_sub(self.start.mono_ns));
        let mut signals = signals(heard, &self.beside.looks, summary);
        if self.now.is_none() {
            add_unlooked(&mut signals, summary);
        }
        let netns = self.beside.netns(&signals, only);
        let netns = netns.or(self.now.as_ref().map(|now| now.netns));
        let netns = netns.unwrap_or(self.start.own_netns);
        self.beside.add_host(&mut signals, netns);
        Answer {
            origin: Origin::of(&self.start),
            mono_ns: self.start.mono_ns + summary.duration.as_nanos() as u64,
            netns_names: summary.netns_names.clone(),
            is_recorded: false,
            clock: self.start.clock,
            target: self.target.to_string(),
            client: self.client.map(|client| OfClient {
                who: client.as_given(),
                untold,
            }),
            diagnosis: diagnose(&signals),
            missing: self.missing(&signals, netns),
            signals,
            incidents: self.beside.told(summary),
            first_drop: first_drop.map(Duration::from_nanos),
            now: self.now,
            kernel_log: self.kernel_log,
            tried: self.tried,
            tier: summary.tier,
            lost: summary.loss.total(),
            doubts,
        }
    }

    /// What was not recorded, so that rules had to do without it.
    fn missing(&self, signals: &Signals, netns: u32) -> Vec<String> {
        let mut missing = Vec::new();
        if !self.start.observes {
            missing.push("looks at the queue and at the processes that hold it".to_owned());
        }
        if !self.beside.knows_host(netns) {
            missing.push(format!("the sysctls of netns {netns}"));
        }
        let has_looks = signals.members.iter().any(|member| member.looks > 0);
        if self.now.is_none() && has_looks && signals.members.iter().all(knows_nothing_accepted) {
            missing.push("what was accepted while the queue was full (--stats 100ms)".to_owned());
        }
        missing
    }

    /// Why something may have happened to its listeners that is in no count.
    fn doubts(&self, summary: &Summary) -> Vec<String> {
        let now = self.now.iter();
        let before = now.clone().flat_map(|now| &now.listeners);
        let before = before.map(|listening| listening.netns);
        let refusing = summary.listeners.iter().map(|tally| tally.netns);
        let busy = summary.stats.iter().map(|row| row.netns);
        let only = now
            .clone()
            .filter_map(|now| now.only)
            .chain(self.filter.netns);
        let namespaces: BTreeSet<u32> = before.chain(refusing).chain(busy).chain(only).collect();
        let namespaces: Vec<u32> = namespaces.into_iter().collect();
        let scope = Scope {
            namespaces: (!namespaces.is_empty()).then_some(&namespaces),
            picks_listeners: true,
            reads_all: self.start.reads_all,
        };
        let unasked = now.flat_map(|now| now.unasked.iter().cloned());
        unasked.chain(judge::doubts(summary, scope)).collect()
    }
}

/// Counters of other namespaces say nothing of these listeners; what adds up is not doubted for what moved elsewhere.
fn keep_theirs(part: &mut Summary) {
    let refusing = part.listeners.iter().map(|tally| tally.netns);
    let busy = part.stats.iter().map(|row| row.netns);
    let theirs: BTreeSet<u32> = refusing.chain(busy).collect();
    if !theirs.is_empty() {
        part.rows.retain(|row| theirs.contains(&row.netns));
        part.moving &= !part.adds_up();
    }
}

const fn knows_nothing_accepted(member: &Member) -> bool {
    member.accepted_while_full.is_none()
}
