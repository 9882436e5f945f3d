//! What listeners go through before anything is lost: the kernel side's
//! figures and who listens come in, one row for each listener goes out.

use std::collections::HashMap;

use probe_common::{CountKey, CountValue, ListenerStats, StatKey, Waits, wait};

use crate::{
    cause, decode,
    filter::Filter,
    model::{
        Accepted, ListenerStatsRow, Refusals,
        cause::Reasons,
        counted::Figures,
        event::Event,
        evidence::Evidence,
        gone::{Gone, TOGETHER, fold},
        kind::{Kind, Stage},
    },
};

type All = HashMap<StatKey, Figures>;

/// Closed listeners that are remembered at most, each under two names.
const CLOSED_AT_MOST: usize = 65_536;

/// By namespace and name.
type Closed = HashMap<(u32, u64), Closing>;

/// A listener that was closed.
#[derive(Clone, Copy, Debug)]
struct Closing {
    /// Connections that it had in its queue.
    queued: u32,
    /// Of its cookie and its kernel address the one that this is not remembered under; 0 where it has one name.
    other_name: u64,
}

/// What is known from before.
#[derive(Debug)]
pub struct Pressure {
    base: All,
    told: All,
    /// What each had refused by then.
    told_refused: HashMap<StatKey, u64>,
    closed: Closed,
    /// Connections that were in the queues of those that are forgotten, when they were closed.
    reset: u64,
    sees: Sees,
}

/// The kernel side's counts, at the beginning of the watch and now.
#[derive(Clone, Copy)]
pub struct Counted<'a> {
    /// When the watch began.
    pub base: &'a HashMap<CountKey, CountValue>,
    /// By now.
    pub now: &'a HashMap<CountKey, CountValue>,
    /// What this kernel calls its reasons.
    pub reasons: &'a Reasons,
}

/// What was counted of a listener.
struct OfListener<'a> {
    key: StatKey,
    kind: Kind,
    stage: Option<Stage>,
    evidence: Evidence,
    n: u64,
    reasons: &'a Reasons,
}

impl<'a> Counted<'a> {
    /// What happened since the beginning at listeners that are known.
    fn since(self) -> impl Iterator<Item = OfListener<'a>> {
        self.now.iter().filter_map(move |(key, value)| {
            let before = self.base.get(key).map_or(0, |value| value.events);
            let n = value.events.saturating_sub(before);
            let evidence = Evidence::from(key);
            let (kind, stage) = decode::classify(&evidence).ok()?;
            let name = StatKey {
                listener: key.listener,
                netns: key.netns,
                generation: 0,
            };
            (n > 0 && !matches!(key.listener, 0 | TOGETHER)).then_some(OfListener {
                key: name,
                kind,
                stage,
                evidence,
                n,
                reasons: self.reasons,
            })
        })
    }
}

/// Whether the kernel side sees connections leave the queue.
#[derive(Clone, Copy, Debug)]
pub struct Sees {
    /// A hook sees accept(2).
    pub accept: bool,
    /// Also those of MPTCP listeners.
    pub mptcp: bool,
}

impl Pressure {
    /// What was before the watch began does not count.
    pub fn since(base: All, sees: Sees) -> Self {
        Self {
            told: base.clone(),
            base,
            told_refused: HashMap::new(),
            closed: HashMap::new(),
            reset: 0,
            sees,
        }
    }

    /// To be told of every listener that was closed.
    pub fn closed(&mut self, event: &Event) {
        if self.closed.len() >= CLOSED_AT_MOST {
            self.closed.clear();
        }
        let queued = event.listener.map_or(0, |l| l.accept_queue_len);
        for (name, other_name) in [(event.cookie, event.sock), (event.sock, event.cookie)] {
            if name != 0 {
                let closing = Closing { queued, other_name };
                self.closed.insert((event.netns, name), closing);
            }
        }
    }

    /// What was counted of these is counted together.
    pub fn forget(&mut self, gone: &Gone) {
        let add = |sum: &mut Figures, one: Figures| sum.add(&one.nameless());
        for figures in [&mut self.base, &mut self.told] {
            fold(figures, |key| gone.figures(key), add);
        }
        self.told_refused
            .retain(|key, _| gone.figures(key).is_none());
        for (name, is_wanted) in &gone.listeners {
            let queued = self.forget_closing(*name).unwrap_or(0);
            if *is_wanted {
                self.reset += u64::from(queued);
            }
        }
        self.closed.shrink_to(self.closed.len() * 2);
    }

    /// Under both of its names, once: one that has a cookie is forgotten by it, since its address may be another's by now.
    fn forget_closing(&mut self, (netns, name): (u32, u64)) -> Option<u32> {
        let Closing { queued, other_name } = *self.closed.get(&(netns, name))?;
        if is_address(name) && other_name != 0 {
            return None;
        }
        self.closed.remove(&(netns, name));
        let address = self.closed.get(&(netns, other_name));
        if address.is_some_and(|closing| closing.other_name == name) {
            self.closed.remove(&(netns, other_name));
        }
        Some(queued)
    }

    /// Connections of those that have no row: how many there were, and how many were lost when their listeners were closed.
    pub fn others(&self, now: &All, netns: Option<u32>) -> (u64, u64) {
        let together = now.iter().filter(|(key, _)| {
            key.listener == TOGETHER && netns.is_none_or(|netns| netns == key.netns)
        });
        let established = together.map(|(key, figures)| {
            let before = self.base.get(key).map_or(0, |base| base.stats.established);
            figures.stats.established.saturating_sub(before)
        });
        let established = established.sum();
        (established, self.reset.min(established))
    }

    /// The rows of the listeners to which something came since this was last asked, with all of the watch in them.
    pub fn news(
        &mut self,
        now: All,
        counted: Counted<'_>,
        filter: &Filter,
    ) -> Vec<ListenerStatsRow> {
        let mut refused: HashMap<StatKey, u64> = HashMap::new();
        for of in counted.since().filter(|of| of.kind.is_refusal()) {
            *refused.entry(of.key).or_default() += of.n;
        }
        let is_news = |key: &StatKey| {
            self.told.get(key) != now.get(key) || self.told_refused.get(key) != refused.get(key)
        };
        let rows = self.rows(&now, is_news, counted, filter);
        self.told = now;
        self.told_refused = refused;
        rows
    }

    /// The rows of all listeners to which something came.
    pub fn all(&self, now: &All, counted: Counted<'_>, filter: &Filter) -> Vec<ListenerStatsRow> {
        self.rows(now, |_| true, counted, filter)
    }

    fn rows(
        &self,
        now: &All,
        wanted: impl Fn(&StatKey) -> bool,
        counted: Counted<'_>,
        filter: &Filter,
    ) -> Vec<ListenerStatsRow> {
        let cookies = cookies_of(now);
        let mut rows: HashMap<(u32, u64), ListenerStatsRow> = HashMap::new();
        let moved = now
            .iter()
            .filter(|(key, figures)| self.base.get(*key) != Some(*figures))
            .filter(|(key, _)| !matches!(key.listener, 0 | TOGETHER))
            .filter(|(key, _)| filter.netns.is_none_or(|netns| netns == key.netns));
        let mut wanted_names = Vec::new();
        for (key, figures) in moved {
            let name = (key.netns, cookies.get(key).copied().unwrap_or(key.listener));
            if wanted(key) {
                wanted_names.push(name);
            }
            let row = rows.entry(name).or_insert_with(|| ListenerStatsRow {
                netns: key.netns,
                cookie: name.1,
                refusals: Some(Refusals::default()),
                ..ListenerStatsRow::default()
            });
            add(row, figures, self.base.get(key));
        }
        wanted_names.sort_unstable();
        rows.retain(|name, row| {
            wanted_names.binary_search(name).is_ok()
                && row.addr.is_none_or(|addr| filter.takes_listener(addr))
        });
        for of in counted.since() {
            let cookie = cookies.get(&of.key).copied();
            let name = (of.key.netns, cookie.unwrap_or(of.key.listener));
            if let Some(row) = rows.get_mut(&name) {
                of.add_to(row);
            }
        }
        rows.into_values().collect()
    }

    /// The same rows, once owners and queues of those that still listen are known: with what was accepted, and
    /// without those that the filter leaves out for that.
    pub fn settled(
        &self,
        mut rows: Vec<ListenerStatsRow>,
        filter: &Filter,
    ) -> Vec<ListenerStatsRow> {
        for row in &mut rows {
            let closing = self.closed.get(&(row.netns, row.cookie));
            let left = closing.map(|closing| closing.queued);
            if row.queued.is_none() && left.is_some() {
                row.queued = Some(0);
                row.is_closed = true;
            }
            let sees_accept = self.sees.accept && (self.sees.mptcp || !row.is_mptcp);
            row.settle(left, sees_accept);
        }
        rows.retain(|row| {
            row.addr
                .is_none_or(|addr| filter.takes_row(addr, &row.owner, row.cgroup.as_deref()))
        });
        rows.sort_by_key(|row| (row.netns, row.addr, row.cookie));
        rows
    }
}

impl OfListener<'_> {
    fn add_to(&self, row: &mut ListenerStatsRow) {
        if self.kind == Kind::CookieSent {
            row.cookies_sent += self.n;
        }
        let refusals = row.refusals.as_mut().filter(|_| self.kind.is_refusal());
        let Some(refusals) = refusals else { return };
        *refusals.kinds.entry(self.kind).or_default() += self.n;
        if let Some(cause) = cause::of(self.kind, self.stage, &self.evidence, self.reasons) {
            let name = (self.kind, cause.id.into_owned());
            *refusals.causes.entry(name).or_default() += self.n;
        }
    }
}

/// Kernel addresses are in the upper half, cookies are counted from 1.
pub const fn is_address(name: u64) -> bool {
    name >> 63 == 1
}

/// The cookies of listeners that were known by their address before they had one.
fn cookies_of(all: &All) -> HashMap<StatKey, u64> {
    let mut of_sock: HashMap<(u32, u64), Option<u64>> = HashMap::new();
    for (key, figures) in all {
        let sock = figures.stats.sock;
        if sock != 0 && !is_address(key.listener) {
            // An address that two have had, one after the other, tells nothing.
            of_sock
                .entry((key.netns, sock))
                .and_modify(|cookie| *cookie = None)
                .or_insert(Some(key.listener));
        }
    }
    all.keys()
        .filter(|key| is_address(key.listener))
        .filter_map(|key| {
            let cookie = of_sock.get(&(key.netns, key.listener)).copied().flatten()?;
            Some((*key, cookie))
        })
        .collect()
}

fn add(row: &mut ListenerStatsRow, now: &Figures, base: Option<&Figures>) {
    let before = base.map_or_else(ListenerStats::default, |base| base.stats);
    let stats = &now.stats;
    row.addr = row
        .addr
        .or_else(|| decode::address(stats.sock_family, stats.bound_addr, stats.bound_port));
    row.is_mptcp |= stats.is_mptcp != 0;
    row.established += stats.established.saturating_sub(before.established);
    row.accepted_counted += stats.accepted.saturating_sub(before.accepted);
    row.accept_queue = row
        .accept_queue
        .max((stats.accept_queue_peak, stats.accept_queue_limit));
    row.syn_queue = row
        .syn_queue
        .max((stats.syn_queue_peak, stats.syn_queue_limit));
    let Some(waits) = &now.waits else { return };
    let none = Waits {
        steps: [0; wait::STEPS],
    };
    let before_waits = base.and_then(|base| base.waits.as_deref()).unwrap_or(&none);
    let steps = waits.steps.iter().zip(&before_waits.steps);
    row.waits.add_steps(
        steps.map(|(now, before)| now.wrapping_sub(*before)),
        stats.wait_max_ns,
    );
}

impl ListenerStatsRow {
    /// What was accepted: counted where a hook sees it; else what was established and is not in the queue
    /// any more, which is first in, first out.
    fn settle(&mut self, left_at_close: Option<u32>, sees_accept: bool) {
        let still = |queued: u32| u64::from(queued).min(self.established);
        let unaccepted = left_at_close.map_or(0, still);
        (self.accepted, self.reset) = match (sees_accept, self.queued) {
            (true, _) if self.is_closed => (
                Accepted::Counted(self.accepted_counted),
                self.established.saturating_sub(self.accepted_counted),
            ),
            (true, _) => (Accepted::Counted(self.accepted_counted), 0),
            (false, _) if self.is_closed => {
                (Accepted::Derived(self.established - unaccepted), unaccepted)
            }
            (false, Some(queued)) => (Accepted::Derived(self.established - still(queued)), 0),
            (false, None) => (Accepted::Unknown, 0),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Histogram,
        event::{ListenerAt, What},
    };

    fn check(row: ListenerStatsRow, left: Option<u32>, sees: bool, accepted: Accepted, reset: u64) {
        let mut row = row;
        row.settle(left, sees);
        assert_eq!((row.accepted, row.reset), (accepted, reset), "{row:?}");
    }

    #[test]
    fn what_is_not_in_the_queue_any_more_was_accepted_or_reset() {
        let row = |queued, is_closed| ListenerStatsRow {
            established: 10,
            accepted_counted: 7,
            queued,
            is_closed,
            ..ListenerStatsRow::default()
        };
        check(row(Some(3), false), None, true, Accepted::Counted(7), 0);
        check(row(Some(3), false), None, false, Accepted::Derived(7), 0);
        check(row(Some(0), true), Some(3), true, Accepted::Counted(7), 3);
        check(row(Some(0), true), Some(3), false, Accepted::Derived(7), 3);
        // More are queued than came since the start: the rest is from before.
        check(row(Some(12), false), None, false, Accepted::Derived(0), 0);
        check(row(None, false), None, false, Accepted::Unknown, 0);
    }

    /// A closing with so many in the queue, of a listener with this cookie at this kernel address.
    fn closing(cookie: u64, sock: u64, queued: u32) -> Event {
        let listener = ListenerAt {
            cookie,
            addr: ([127, 0, 0, 1], 80).into(),
            accept_queue_len: queued,
            accept_queue_limit: 8,
            syn_queue_len: 0,
            syncookies: 0,
            max_syn_backlog: 0,
        };
        let hook = probe_common::hook::LISTENER_CLOSED;
        let what = What::Closed(None);
        let event = Event::of_listener(1, 7, listener, Kind::ListenerClosed, hook, what);
        Event { sock, ..event }
    }

    fn gone(names: &[u64]) -> Gone {
        Gone {
            listeners: names.iter().map(|name| ((7, *name), true)).collect(),
            ..Gone::default()
        }
    }

    #[test]
    fn a_closing_is_forgotten_under_both_names_and_counted_once() {
        const SOCK: u64 = 0xffff_8880_0000_0000;
        let sees = Sees {
            accept: false,
            mptcp: false,
        };
        let mut pressure = Pressure::since(All::new(), sees);
        for cookie in 1..=100 {
            pressure.closed(&closing(cookie, SOCK + cookie, 2));
        }
        // One without a cookie, and one that has had the address of another.
        pressure.closed(&closing(0, SOCK + 200, 5));
        pressure.closed(&closing(101, SOCK + 1, 3));
        let names: Vec<u64> = (1..=100).chain([SOCK + 200]).collect();
        pressure.forget(&gone(&names));
        assert_eq!(pressure.reset, 2 * 100 + 5);
        assert_eq!(pressure.closed.len(), 2, "{:?}", pressure.closed);
        // Its address alone is not forgotten before it.
        pressure.forget(&gone(&[SOCK + 1]));
        assert_eq!(pressure.closed.len(), 2);
        pressure.forget(&gone(&[101]));
        assert_eq!((pressure.closed.len(), pressure.reset), (0, 208));
    }

    #[test]
    fn the_middle_of_known_waits_is_found_again() {
        let mut waited = Histogram::default();
        let mut steps = [0; wait::STEPS];
        for ms in 1..=99 {
            steps[wait::step(ms * 1_000_000)] += 1;
        }
        waited.add_steps(steps.into_iter(), 99_000_000);
        let near = |ns: u64, ms: f64| (ns as f64 / 1e6 - ms).abs() <= ms / 20.0;
        let (p50, p99) = (waited.percentile(50), waited.percentile(99));
        assert!(p50.is_some_and(|ns| near(ns, 50.0)), "{p50:?}");
        assert!(p99.is_some_and(|ns| near(ns, 99.0)), "{p99:?}");
        assert_eq!(Histogram::default().percentile(50), None);
    }
}
