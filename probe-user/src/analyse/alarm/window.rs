//! What is known of one place for a while: counts of everything, and a close look at as much as there is room for. What is
//! made of it is what `why` makes of a watch of that place.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use super::figures::Figures;
use crate::{
    analyse::{
        beside::Beside,
        places::{Asks, Places},
    },
    model::{
        Accepted, Causes, Counts, HostFacts, Line, ListenerStatsRow, ListenerTally, Observed,
        ObservedProcess, ObservedQueue, Row, Sampled, Start, Summary,
        alarm::Said,
        cause::Cause,
        cgroup::Cgroup,
        incident::Place,
        kind::{Kind, Stage},
        observation::Observation,
        owner::Owner,
    },
};

/// Events that are looked at closely each second.
const CLOSELY_A_SECOND: u32 = 32;

/// Beyond that, those of one client in so many: all of its events, or a SYN that comes again would look like the first.
const ONE_CLIENT_IN: u32 = 256;

/// Events that are looked at closely in one window.
const CLOSELY_AT_MOST: usize = 32_768;

/// Names that are counted apart.
const COUNTS_AT_MOST: usize = 1024;

/// What is counted together.
pub(super) struct Name {
    pub cookie: u64,
    pub kind: Kind,
    stage: Option<Stage>,
    pub cause: Option<Cause>,
    pub owner: Arc<[Owner]>,
    pub cgroup: Option<Arc<Cgroup>>,
    /// The longest that its accept queue was at one of these, and its limit; `None` where no line told of it.
    queue: Option<(u32, u32)>,
}

/// So many refusals, of which so many were asked for already.
struct Count {
    name: Name,
    n: u64,
    taken: u64,
}

/// One place for a while.
pub(super) struct Window {
    place: Place,
    start: Box<Start>,
    pub began_ns: u64,
    counts: Vec<Count>,
    /// The one that was counted last.
    newest: usize,
    places: Places,
    beside: Beside,
    has_looks: bool,
    figures: Figures,
    residual: i64,
    second: u64,
    in_second: u32,
    /// How many events were looked at closely.
    pub closely: usize,
}

impl Window {
    pub(super) fn begin(
        place: Place,
        start: &Start,
        mono_ns: u64,
        facts: Option<&HostFacts>,
    ) -> Self {
        let mut window = Self {
            place,
            start: Box::new(start.clone()),
            began_ns: mono_ns,
            counts: Vec::new(),
            newest: 0,
            places: Places::of_listeners(),
            beside: Beside::default(),
            has_looks: false,
            figures: Figures::since(mono_ns),
            residual: 0,
            second: 0,
            in_second: 0,
            closely: 0,
        };
        let line = Line::Start(start);
        window.places.line(mono_ns, &line);
        window.beside.line(mono_ns, &line);
        if start.asked.stats_every.is_none() {
            window.forget_accepted();
        }
        if let Some(facts) = facts {
            window.host(mono_ns, facts);
        }
        window
    }

    /// Counts a refusal.
    pub(super) fn refused(&mut self, seen: &Observation) {
        let event = &seen.event;
        let at = event.listener.map_or(0, |listener| listener.cookie);
        let cookie = if at == 0 { event.cookie } else { at };
        let is_same = |count: &Count| {
            count.name.cookie == cookie
                && count.name.kind == event.kind
                && count.name.stage == event.stage
                && same_cause(count.name.cause.as_ref(), seen.cause.as_ref())
        };
        if !self.counts.get(self.newest).is_some_and(is_same) {
            let known = self.counts.iter().position(is_same);
            self.newest = known.unwrap_or_else(|| {
                self.add(Name {
                    cookie,
                    kind: event.kind,
                    stage: event.stage,
                    cause: seen.cause.clone(),
                    owner: Arc::clone(&seen.owner),
                    cgroup: seen.cgroup.clone(),
                    queue: None,
                })
            });
        }
        if let Some(count) = self.counts.get_mut(self.newest) {
            count.n += 1;
            let queue = event
                .listener
                .map(|at| (at.accept_queue_len, at.accept_queue_limit));
            count.name.queue = count.name.queue.max(queue);
            if count.name.owner.is_empty() && !seen.owner.is_empty() {
                count.name.owner = Arc::clone(&seen.owner);
                count.name.cgroup.clone_from(&seen.cgroup);
            }
        }
    }

    fn add(&mut self, name: Name) -> usize {
        if self.counts.len() < COUNTS_AT_MOST {
            self.counts.push(Count {
                name,
                n: 0,
                taken: 0,
            });
        }
        // What finds no room is counted with the last.
        self.counts.len() - 1
    }

    /// Looks at it closely, where it may; whether it did.
    pub(super) fn event(&mut self, seen: &Observation, has_room: bool) -> bool {
        let second = seen.event.mono_ns / 1_000_000_000;
        if second != self.second {
            (self.second, self.in_second) = (second, 0);
        }
        self.in_second += 1;
        let is_wanted = self.in_second <= CLOSELY_A_SECOND
            || seen.event.client.is_some_and(|client| is_one_of(&client));
        let looks = is_wanted && has_room && self.closely < CLOSELY_AT_MOST;
        if looks {
            self.closely += 1;
            let line = Line::Event(seen);
            self.places.line(seen.event.mono_ns, &line);
            self.beside.line(seen.event.mono_ns, &line);
        }
        looks
    }

    pub(super) fn sampled(&mut self, mono_ns: u64, sampled: &Sampled) {
        let line = Line::Sampled(sampled);
        self.places.line(mono_ns, &line);
        self.beside.line(mono_ns, &line);
        if !sampled.kind.is_refusal() {
            return;
        }
        let is_same = |count: &Count| {
            count.name.cookie == sampled.cookie
                && count.name.kind == sampled.kind
                && count.name.stage == sampled.stage
                && same_cause(count.name.cause.as_ref(), sampled.cause.as_ref())
        };
        let at = self.counts.iter().position(is_same).unwrap_or_else(|| {
            self.add(Name {
                cookie: sampled.cookie,
                kind: sampled.kind,
                stage: sampled.stage,
                cause: sampled.cause.clone(),
                owner: Arc::from([]),
                cgroup: None,
                queue: None,
            })
        });
        if let Some(count) = self.counts.get_mut(at) {
            count.n += sampled.count;
        }
    }

    /// A reading of what its listeners went through.
    pub(super) fn figures(&mut self, mono_ns: u64, rows: &[ListenerStatsRow]) {
        if self.figures.are_unknown {
            return;
        }
        for row in self.figures.read(mono_ns, rows) {
            let line = Line::Stats(&row);
            self.places.line(mono_ns, &line);
            self.beside.line(mono_ns, &line);
        }
        if self.figures.are_unknown {
            self.forget_accepted();
        }
    }

    /// What was accepted is not known, from here on and before.
    fn forget_accepted(&mut self) {
        self.figures.are_unknown = true;
        self.places.forget_accepted();
        let mut start = self.start.clone();
        start.asked.stats_every = None;
        self.beside.line(self.began_ns, &Line::Start(&start));
    }

    pub(super) const fn residual(&mut self, news: i64) {
        self.residual += news;
    }

    pub(super) fn host(&mut self, mono_ns: u64, facts: &HostFacts) {
        let seen = Observed::Host(Box::new(facts.clone()));
        self.beside.line(mono_ns, &Line::Observed(&seen));
    }

    /// Processes come before the queue that they hold.
    pub(super) fn look(&mut self, queue: &ObservedQueue, processes: &[ObservedProcess]) {
        self.has_looks = true;
        let holds = |pid: u32| queue.owners.iter().any(|owner| owner.pid == pid);
        for process in processes.iter().filter(|one| holds(one.process.pid)) {
            let seen = Observed::Process(Box::new(process.clone()));
            self.beside
                .line(queue.snapshot.taken_mono_ns, &Line::Observed(&seen));
        }
        let seen = Observed::Queue(Box::new(queue.clone()));
        self.beside
            .line(queue.snapshot.taken_mono_ns, &Line::Observed(&seen));
    }

    /// What was counted since this was last asked.
    pub(super) fn news(&mut self) -> impl Iterator<Item = (&Name, u64)> {
        self.counts.iter_mut().filter_map(|count| {
            let n = count.n - count.taken;
            count.taken = count.n;
            (n > 0).then_some((&count.name, n))
        })
    }

    /// Why, by what is known until then.
    pub(super) fn verdicts(&mut self, now_ns: u64) -> Vec<Said> {
        if !self.figures.are_unknown && self.figures.are_late(now_ns) {
            self.forget_accepted();
        }
        let summary = self.summary(now_ns);
        let answers = self.places.clone().answers(Asks {
            beside: &self.beside,
            summary: &summary,
            is_looked: self.has_looks,
            before: &[],
        });
        let own = answers
            .all
            .iter()
            .find(|answer| answer.place == Some(self.place));
        let verdicts = own.into_iter().flat_map(|own| &own.diagnosis.verdicts);
        verdicts.map(Said::from).collect()
    }

    /// As if the watch had been of this place and this time alone.
    fn summary(&self, now_ns: u64) -> Summary {
        let listeners = self.tallies();
        let mut counts = Counts::new();
        let mut causes = Causes::new();
        for tally in &listeners {
            for (what, n) in &tally.counts {
                *counts.entry(*what).or_default() += n;
            }
            for (name, n) in &tally.causes {
                *causes.entry(name.clone()).or_default() += n;
            }
        }
        let refused = counts.values().sum();
        Summary {
            duration: Duration::from_nanos(now_ns.saturating_sub(self.began_ns)),
            tier: self.start.tier,
            stats: self.rows(),
            counts,
            causes,
            top_clients: None,
            listeners,
            stories: None,
            others: Default::default(),
            groups: Vec::new(),
            loss: Default::default(),
            health: Default::default(),
            skipped: Default::default(),
            // Each second it is compared what was seen with what the kernel counted; a difference is told.
            rows: vec![Row {
                netns: self.place.netns,
                counter: "ListenDrops",
                kernel: None,
                no_kernel: None,
                seen: refused,
                sampled: 0,
                lost: 0,
                unattributed: Some(self.residual),
            }],
            accounted: [self.place.netns].into(),
            unread: Vec::new(),
            netns_names: Default::default(),
            unseen: Vec::new(),
            moving: false,
            interim: true,
        }
    }

    fn tallies(&self) -> Vec<ListenerTally> {
        let mut tallies: BTreeMap<u64, ListenerTally> = BTreeMap::new();
        for Count { name, n, .. } in &self.counts {
            let tally = tallies.entry(name.cookie).or_insert_with(|| ListenerTally {
                cookie: name.cookie,
                netns: self.place.netns,
                addr: Some(self.place.addr),
                owner: Arc::clone(&name.owner),
                cgroup: name.cgroup.clone(),
                counts: BTreeMap::new(),
                causes: Causes::new(),
            });
            *tally.counts.entry((name.kind, name.stage)).or_default() += n;
            if let Some(cause) = &name.cause {
                let cause = (name.kind, cause.id.clone().into_owned());
                *tally.causes.entry(cause).or_default() += n;
            }
        }
        tallies.into_values().collect()
    }

    /// Of a listener without figures it is not known what it accepted, which is not nothing.
    fn rows(&self) -> Vec<ListenerStatsRow> {
        let looked = self.beside.looks.queues.values();
        let looked = looked.map(|queue| {
            let last = &queue.last;
            (last.cookie, (queue.peak, last.accept_queue_limit))
        });
        // A limit that nobody told of is not 0.
        let counted = self.counts.iter();
        let counted = counted.filter_map(|count| Some((count.name.cookie, count.name.queue?)));
        let mut rows = self.figures.newest.clone();
        if !self.figures.are_unknown && self.has_looks {
            // Without figures nothing came to it.
            return rows.into_values().collect();
        }
        for (cookie, accept_queue) in looked.chain(counted) {
            rows.entry(cookie).or_insert_with(|| ListenerStatsRow {
                netns: self.place.netns,
                cookie,
                addr: Some(self.place.addr),
                accepted: Accepted::Unknown,
                accept_queue,
                ..ListenerStatsRow::default()
            });
        }
        rows.into_values().collect()
    }
}

fn same_cause(one: Option<&Cause>, other: Option<&Cause>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.has_id(&other.id),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// Whether a client is one in [`ONE_CLIENT_IN`]: always the same ones.
fn is_one_of(client: &SocketAddr) -> bool {
    let ip = match client {
        SocketAddr::V4(v4) => v4.ip().to_bits(),
        SocketAddr::V6(v6) => {
            let bits = v6.ip().to_bits();
            (bits ^ (bits >> 32) ^ (bits >> 64) ^ (bits >> 96)) as u32
        }
    };
    let mixed = (ip ^ u32::from(client.port()).rotate_left(16)).wrapping_mul(0x9E37_79B1);
    (mixed >> 16).is_multiple_of(ONE_CLIENT_IN)
}
