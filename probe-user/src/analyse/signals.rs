//! From looks, lines and the summary to signals.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use super::{
    clients::Clients,
    gone::Gone,
    holder::of_process,
    looks::{Looks, ProcessLooks, Queue},
    missing::missing,
    tries::Tries,
    turnover::turned_over,
    who,
};
use crate::{
    filter::ClientFilter,
    model::{
        Line, ListenerStatsRow, ListenerTally, Summary, TopClient, Tried,
        kind::Kind,
        observation::Observation,
        signals::{Causes, Member, Missing, Probe, Signals},
    },
};

/// Rows that come less often do not tell what was accepted within a stretch.
const OFTEN: Duration = Duration::from_millis(100);

/// Rows of a listener that are kept while nothing has happened there.
const ROWS_BEFORE: usize = 64;

/// Places that are named.
const PLACES_AT_MOST: usize = 8;

/// A line about listeners may tell of what happened so long before.
const LATE_NS: u64 = 150_000_000;

/// What the lines said of one place.
#[derive(Clone, Default)]
pub struct Heard {
    of: Option<OfClient>,
    clients: Clients,
    elsewhere: Vec<String>,
    gone: Gone,
    tries: Tries,
    /// SYN-ACKs that were sent again.
    resent: u64,
    probe: Option<Probe>,
    blind: Vec<&'static str>,
    /// When the watch began, where that was told.
    began_ns: Option<u64>,
    /// What was accepted was told too seldom, or never.
    is_coarse: bool,
    /// Accepted until then, by namespace and cookie.
    accepted: HashMap<(u32, u64), Rows>,
    /// The earliest refusal, and the earliest answer that nobody listens.
    pub first_drop_ns: Option<u64>,
}

/// What rows told of one listener.
#[derive(Clone, Default)]
struct Rows {
    /// When, and how many it had accepted until then.
    all: Vec<(u64, u64)>,
    /// Whether there were earlier ones.
    are_cut: bool,
}

impl Rows {
    /// Accepted until then; `None` where that was forgotten.
    fn until(&self, when: u64) -> Option<u64> {
        let until = self.all.partition_point(|(then, _)| *then <= when);
        match until.checked_sub(1) {
            Some(last) => Some(self.all[last].1),
            None => (!self.are_cut).then_some(0),
        }
    }
}

/// What lines told of the clients that were asked about.
#[derive(Clone)]
struct OfClient {
    who: ClientFilter,
    causes: Causes,
    untold: u64,
}

impl Heard {
    /// Of these clients only, if any.
    pub fn of(who: Option<ClientFilter>) -> Self {
        let of = who.map(|who| OfClient {
            who,
            causes: Causes::default(),
            untold: 0,
        });
        Self {
            of,
            ..Self::default()
        }
    }

    /// Events that may or may not have been theirs.
    pub fn untold(&self) -> u64 {
        self.of.as_ref().map_or(0, |of| of.untold)
    }

    /// To be told of every line.
    pub fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        match line {
            Line::Start(start) => {
                self.blind.clone_from(&start.blind);
                self.began_ns = Some(mono_ns);
                self.is_coarse = start.asked.stats_every.is_none_or(|every| every > OFTEN);
            }
            Line::Event(seen) => self.event(seen),
            Line::Sampled(sampled) => {
                if let Some(of) = &mut self.of {
                    of.untold += sampled.count;
                }
            }
            Line::Stats(row) => self.stats(mono_ns, row),
            _ => {}
        }
    }

    fn event(&mut self, seen: &Observation) {
        if self.of.as_mut().is_some_and(|of| !of.takes(seen)) {
            return;
        }
        let kind = seen.event.kind;
        if kind.is_refusal() || kind == Kind::Refused {
            let at_ns = seen.event.mono_ns;
            self.first_drop_ns = Some(self.first_drop_ns.map_or(at_ns, |first| first.min(at_ns)));
        }
        self.clients.add(seen);
        for place in &seen.refusal.elsewhere {
            remember(&mut self.elsewhere, place.seen_from(seen.event.netns));
        }
        self.gone.event(seen);
        self.tries.event(&seen.event);
        self.resent += u64::from(kind == Kind::SynackRetransmit);
    }

    /// What became of an attempt of whydrop's own.
    pub fn tried(&mut self, tried: &Tried) {
        self.probe = Some(match tried.outcome.as_str() {
            Tried::CONNECTED => Probe::Connected,
            Tried::NO_ANSWER => Probe::Unanswered,
            Tried::NO_PORT => Probe::NoPort,
            _ => Probe::Failed,
        });
    }

    fn stats(&mut self, mono_ns: u64, row: &ListenerStatsRow) {
        if let Some(accepted) = row.accepted.number() {
            let known = self.accepted.entry((row.netns, row.cookie)).or_default();
            known.all.push((mono_ns, accepted));
        }
    }

    /// Forgets most of what listeners accepted, of a place where nothing has happened.
    pub fn cut(&mut self) {
        for known in self.accepted.values_mut() {
            if known.all.len() >= ROWS_BEFORE * 2 {
                known.all.drain(..known.all.len() - ROWS_BEFORE);
                known.are_cut = true;
            }
        }
    }

    /// Forgets what listeners accepted: from here on that is not known.
    pub fn forget_accepted(&mut self) {
        self.is_coarse = true;
        self.accepted.clear();
    }

    /// Rows that are kept.
    #[cfg(test)]
    pub fn rows(&self) -> usize {
        self.accepted.values().map(|known| known.all.len()).sum()
    }

    /// Adds what was said of another place, which turned out to be the same.
    pub fn join(&mut self, other: Self) {
        self.clients.join(other.clients);
        for text in other.elsewhere {
            remember(&mut self.elsewhere, text);
        }
        self.gone.join(other.gone);
        self.tries.join(other.tries);
        self.resent += other.resent;
        self.probe = self.probe.or(other.probe);
        self.accepted.extend(other.accepted);
        let firsts = self.first_drop_ns.into_iter().chain(other.first_drop_ns);
        self.first_drop_ns = firsts.min();
        if let (Some(of), Some(other)) = (&mut self.of, other.of) {
            of.untold += other.untold;
            for (name, n) in other.causes {
                *of.causes.entry(name).or_default() += n;
            }
        }
    }

    /// What lines told of the clients that were asked about, if any were.
    pub fn of_client(&self) -> Option<&Causes> {
        self.of.as_ref().map(|of| &of.causes)
    }

    /// Client addresses that had a line.
    pub fn clients(&self) -> impl Iterator<Item = IpAddr> {
        self.clients.all()
    }

    /// Those who were refused most, and how often.
    pub fn top_clients(&self) -> Vec<TopClient> {
        self.clients.top()
    }

    /// Accepted while the queue was over its limit, as far as lines tell, or else the whole watch: 0 of 0.
    fn accepted_in(&self, queue: &Queue, row: Option<&ListenerStatsRow>) -> Option<u64> {
        if self.is_coarse {
            let accepted = row?.accepted.number();
            return accepted.filter(|accepted| *accepted == 0);
        }
        let known = self.accepted.get(&(queue.netns, queue.last.cookie))?;
        let at = |when| known.until(when);
        let mut spans = queue
            .spans
            .iter()
            .filter(|(from, to)| *to - *from > LATE_NS)
            .peekable();
        spans.peek()?;
        let in_spans = spans.map(|(from, to)| Some(at(*to)?.saturating_sub(at(*from + LATE_NS)?)));
        in_spans.sum()
    }

    /// Accepted until then, and told a little later; `None` where that is not known.
    fn accepted_until(&self, queue: &Queue, when: u64) -> Option<u64> {
        if self.is_coarse {
            return None;
        }
        match self.accepted.get(&(queue.netns, queue.last.cookie)) {
            Some(known) => known.until(when.saturating_add(LATE_NS)),
            // Nothing came.
            None => Some(0),
        }
    }

    /// The time that was watched: looks begin before the hooks are there, and go on for a while after.
    fn watched(&self, lasted: Duration) -> (u64, u64) {
        let ends = |began_ns: u64| (began_ns, began_ns.saturating_add(lasted.as_nanos() as u64));
        self.began_ns.map_or((0, u64::MAX), ends)
    }

    fn turned_over(&self, queue: &Queue) -> Option<bool> {
        let known = self.accepted.get(&(queue.netns, queue.last.cookie));
        turned_over(queue, &known.filter(|_| !self.is_coarse)?.all)
    }
}

impl OfClient {
    /// Whether it is an event of theirs; counts those that are.
    fn takes(&mut self, seen: &Observation) -> bool {
        let Some(client) = seen.event.client else {
            self.untold += 1;
            return false;
        };
        let takes = self.who.takes(client.ip());
        if let (true, Some(cause)) = (takes, &seen.cause) {
            let name = (seen.event.kind, cause.id.clone().into_owned());
            *self.causes.entry(name).or_default() += 1;
        }
        takes
    }
}

fn remember(list: &mut Vec<String>, text: String) {
    if list.len() < PLACES_AT_MOST && !list.contains(&text) {
        list.push(text);
    }
}

/// What the watch and the looks know together of one place, of which `summary` is; sysctls and firewalls are asked elsewhere.
pub fn signals(heard: Heard, looks: &Looks, summary: &Summary) -> Signals {
    let rows: HashMap<(u32, u64), &ListenerStatsRow> = summary
        .stats
        .iter()
        .map(|row| ((row.netns, row.cookie), row))
        .collect();
    let refusals_at = |netns: u32, cookie: u64| -> u64 {
        let of_listener = summary
            .listeners
            .iter()
            .filter(|tally| (tally.netns, tally.cookie) == (netns, cookie));
        let counts = of_listener.flat_map(|tally| &tally.counts);
        counts
            .filter(|((kind, _), _)| kind.is_refusal())
            .map(|(_, n)| n)
            .sum()
    };
    let members: Vec<Member> = looks
        .queues
        .values()
        .map(|queue| {
            let key = (queue.netns, queue.last.cookie);
            let watched = heard.watched(summary.duration);
            member(
                (queue, queue.longest_full(watched)),
                looks.acceptors(queue),
                rows.get(&key).copied(),
                refusals_at(key.0, key.1),
                heard.accepted_in(queue, rows.get(&key).copied()),
                heard.turned_over(queue),
                missing(queue, watched, |when| heard.accepted_until(queue, when)),
            )
        })
        .collect();
    // What the kernel counts, it counts of all clients.
    let (causes, everybody) = match heard.of {
        Some(of) => (of.causes, Some(summary.causes.clone())),
        None => (summary.causes.clone(), None),
    };
    let refusals = match &everybody {
        Some(_) => causes
            .iter()
            .filter(|((kind, _), _)| kind.is_refusal())
            .map(|(_, n)| n)
            .sum(),
        None => summary.refusals(),
    };
    let mut signals = Signals {
        watched: summary.duration,
        refusals,
        causes,
        everybody,
        clients: heard.clients.count(),
        tries: heard.tries.told(),
        resent: heard.resent,
        probe: heard.probe,
        elsewhere: heard.elsewhere,
        closed_by: heard.gone.closed_by(),
        deaths: heard.gone.deaths(looks),
        is_gap: heard.gone.is_gap(looks),
        is_final: heard.gone.is_final(looks),
        blind: heard.blind,
        adds_up: summary.adds_up() && !summary.moving,
        members,
        ..Signals::default()
    };
    let worst = signals.worst().map(|worst| worst.cookie);
    let owners: HashSet<u32> = looks
        .queues
        .values()
        .filter(|queue| Some(queue.last.cookie) == worst)
        .flat_map(|queue| looks.acceptors(queue).0)
        .collect();
    let of_worst = looks
        .queues
        .values()
        .find(|queue| Some(queue.last.cookie) == worst);
    let processes: BTreeMap<u32, &ProcessLooks> = looks
        .processes
        .iter()
        .filter(|(pid, _)| owners.contains(pid))
        .map(|(pid, process)| (*pid, process))
        .collect();
    signals.processes = processes
        .into_iter()
        .map(|(pid, process)| of_process(pid, process, of_worst))
        .collect();
    signals
}

/// Adds listeners that nobody looked at, as far as their figures tell of them.
pub fn add_unlooked(signals: &mut Signals, summary: &Summary) {
    signals.is_unlooked = true;
    for row in &summary.stats {
        if signals
            .members
            .iter()
            .any(|known| known.cookie == row.cookie)
        {
            continue;
        }
        let tallies = summary.listeners.iter();
        let own = tallies.filter(|tally| (tally.netns, tally.cookie) == (row.netns, row.cookie));
        signals.members.push(Member {
            cookie: row.cookie,
            addr: row.addr,
            limit: row.accept_queue.1,
            refusals: own.map(ListenerTally::refusals).sum(),
            established: row.established,
            accepted: row.accepted.number(),
            peak: row.accept_queue.0,
            syn_peak: row.syn_queue.0,
            wait: wait(row),
            // Whoever they are: none was looked at.
            owners: row.owner.len().max(1),
            ..Member::default()
        });
    }
}

/// p99 and the longest wait in the queue.
fn wait(row: &ListenerStatsRow) -> Option<(Duration, Duration)> {
    let p99 = row.waits.percentile(99)?;
    let max = row.waits.percentile(100)?;
    Some((Duration::from_nanos(p99), Duration::from_nanos(max)))
}

fn member(
    (queue, longest_full): (&Queue, Duration),
    acceptors: (Vec<u32>, usize),
    row: Option<&ListenerStatsRow>,
    refusals: u64,
    accepted_while_full: Option<u64>,
    turned_over: Option<bool>,
    missing: Option<Missing>,
) -> Member {
    let (acceptors, owners) = acceptors;
    let peak = row.map_or(0, |row| row.accept_queue.0).max(queue.peak);
    Member {
        cookie: queue.last.cookie,
        addr: Some(queue.last.addr),
        limit: queue.last.accept_queue_limit,
        refusals,
        established: row.map_or(0, |row| row.established),
        // No row: nothing came, so nothing was accepted.
        accepted: row.map_or(Some(0), |row| row.accepted.number()),
        peak,
        syn_peak: row.map_or(0, |row| row.syn_queue.0),
        half_open: queue.half_open,
        half_open_looks: queue.half_open_looks,
        wait: row.and_then(wait),
        looks: queue.looks,
        seen: queue.seen,
        full_looks: queue.full,
        drained_looks: queue.drained,
        longest_full,
        // Lines come only of listeners to which something came.
        accepted_while_full: accepted_while_full.or(row.is_none().then_some(0)),
        turned_over,
        missing,
        holders_cut: queue.holders_seen.is_cut(),
        owners,
        polled: queue.is_polled(&acceptors),
        ..who::standing(queue, &acceptors)
    }
}
