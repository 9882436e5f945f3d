//! What was heard of a port becomes an answer: lines come in, live or from a recording, and when they end, the answer
//! goes out. It asks nobody and reads no clock.

use std::{collections::BTreeSet, time::Duration};

use super::{
    beside::Beside,
    judge::{self, Scope},
    narrow::{self, Rest, narrowed},
    places::{Answers, Asks, Places},
};
use crate::{
    filter::{ClientFilter, Filter, ListenerFilter},
    model::{
        Answer, Line, ListenerAnswer, NetnsNames, Now, Observed, OfClient, Origin, Seen, Start,
        Summary, Tried, flood::may_be_about, signals::Member, sysctls::Sysctls,
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
    places: Places,
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
            places: Places::of(asked.client),
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
                if let Some(now) = &self.now {
                    self.places.tried(now.netns, tried);
                }
                self.tried = Some(tried.clone());
            }
            Line::Observed(Observed::Log(log)) => {
                let now = self.now.iter().flat_map(|now| &now.listeners);
                let bound: Vec<_> = now.map(|one| one.snapshot.addr.ip()).collect();
                let is_its = may_be_about(&log.says, self.target.port(), &bound);
                if is_its && self.kernel_log.len() < LOG_LINES_AT_MOST {
                    let at = self.start.clock.at(log.mono_ns);
                    self.kernel_log
                        .push(format!("{at:#} UTC, of any namespace: {}", log.says));
                }
            }
            // What was read around another port says nothing of this one.
            Line::Observed(Observed::Around(around)) if around.port != self.target.port() => {}
            _ if narrow::takes(&self.filter, line) => self.tell(mono_ns, line),
            _ => {}
        }
    }

    fn tell(&mut self, mono_ns: u64, line: &Line<'_>) {
        self.places.line(mono_ns, line);
        self.beside.line(mono_ns, line);
        self.rest.line(line);
    }

    /// Namespaces whose facts may matter.
    pub fn namespaces(&self) -> BTreeSet<u32> {
        let now = self.now.iter();
        let asked = now.flat_map(|now| now.only.into_iter().chain([now.netns]));
        let queues = self.beside.looks.queues.keys();
        let around = self.beside.around.places();
        let around = around.iter().map(|place| place.netns);
        let looked_at = queues.map(|(netns, _)| *netns);
        asked.chain(looked_at).chain(around).collect()
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
        let places = std::mem::take(&mut self.places);
        let answers = places.answers(Asks {
            beside: &self.beside,
            summary,
            is_looked: self.now.is_some(),
            before: self.now.as_ref().map_or(&[], |now| &now.listeners),
        });
        if answers.let_go > 0 {
            doubts.push(format!(
                "{} events were at more addresses than are remembered",
                answers.let_go
            ));
        }
        let first_drop = answers.first_drop_ns;
        let first_drop = first_drop.map(|first| first.saturating_sub(self.start.mono_ns));
        Answer {
            origin: Origin::of(&self.start),
            mono_ns: self.start.mono_ns + summary.duration.as_nanos() as u64,
            netns_names: self.netns_names(summary),
            own_netns: self.start.own_netns,
            is_recorded: false,
            clock: self.start.clock,
            target: self.target.to_string(),
            client: self.client.map(|client| OfClient {
                who: client.as_given(),
                untold: answers.untold + summary.loss.total(),
            }),
            missing: self.missing(&answers.all),
            seen: self.seen(&answers, summary),
            answers: answers.all,
            quiet: answers.quiet,
            abstained: answers.abstained,
            incidents: self.beside.told(summary),
            first_drop: first_drop.map(Duration::from_nanos),
            now: self.now,
            kernel_log: self.kernel_log,
            tried: self.tried,
            tier: summary.tier,
            lost: summary.loss.total(),
            notes: self.beside.around.notes(summary),
            doubts,
        }
    }

    /// What namespaces are called: those of counts, and those where somebody listened before.
    fn netns_names(&self, summary: &Summary) -> NetnsNames {
        let mut names = summary.netns_names.clone();
        let before = self.now.iter().flat_map(|now| &now.listeners);
        let before = before.filter_map(|one| Some((one.netns, one.netns_name.clone()?)));
        let around = self.beside.around.names();
        for (netns, name) in before.chain(around) {
            names.entry(netns).or_insert(name);
        }
        names
    }

    fn seen(&self, answers: &Answers, summary: &Summary) -> Seen {
        let of_client = answers.of_client.as_ref();
        Seen {
            watched: summary.duration,
            causes: of_client.unwrap_or(&summary.causes).clone(),
            refusals: summary.refusals(),
            clients: answers.clients,
            accepted: summary
                .stats
                .iter()
                .filter_map(|row| row.accepted.number())
                .sum(),
            adds_up: summary.adds_up() && !summary.moving,
            sysctls: self.sysctls(&answers.all),
            blind: self.start.blind.clone(),
        }
    }

    /// Those of before, or else those that the namespace of the worst said last.
    fn sysctls(&self, answers: &[ListenerAnswer]) -> Sysctls {
        match (&self.now, answers.first()) {
            (Some(now), _) => now.sysctls,
            (None, Some(worst)) => worst.signals.sysctls,
            (None, None) => self.beside.any_sysctls(),
        }
    }

    /// What was not recorded, so that rules had to do without it.
    fn missing(&self, answers: &[ListenerAnswer]) -> Vec<String> {
        let mut missing = Vec::new();
        if !self.start.observes {
            missing.push("looks at the queue and at the processes that hold it".to_owned());
        }
        let netns: BTreeSet<u32> = answers
            .iter()
            .filter_map(|answer| Some(answer.place?.netns))
            .collect();
        for netns in netns {
            if !self.beside.knows_host(netns) {
                missing.push(format!("the sysctls of netns {netns}"));
            }
        }
        let members = || answers.iter().flat_map(|answer| &answer.signals.members);
        let has_looks = members().any(|member| member.looks > 0);
        if self.now.is_none() && has_looks && members().all(knows_nothing_accepted) {
            missing.push("what was accepted while the queue was full (--stats 100ms)".to_owned());
        }
        missing
    }

    /// Why something may have happened to its listeners that is in no count: what every command doubts, and each of
    /// their namespaces has to be known from beginning to end.
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
            namespaces: None,
            picks_listeners: true,
            reads_all: self.start.reads_all,
        };
        let theirs = Scope {
            namespaces: Some(&namespaces),
            ..scope
        };
        let mut doubts: Vec<String> = now.flat_map(|now| now.unasked.iter().cloned()).collect();
        for doubt in judge::doubts(summary, scope)
            .into_iter()
            .chain(judge::doubts(summary, theirs))
        {
            if !doubts.contains(&doubt) {
                doubts.push(doubt);
            }
        }
        doubts
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
