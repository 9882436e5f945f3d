//! The series of listeners and of namespaces: who has one, what it came to, and when it goes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
};

use super::{
    Limits,
    identity::{Identity, OTHER, netns_in},
};
use crate::{
    analyse::pressure::is_address,
    model::{
        ListenerStatsRow, NetnsNames, Summary,
        census::{Census, Counted, What},
        gone::{NAMESPACES, TOGETHER},
        kind::Kind,
    },
};

/// One listener, or all sockets that have the same labels.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) refused: BTreeMap<What, u64>,
    pub(super) went: Went,
    /// What is true of it now; `None` where it cannot be found.
    pub(super) now: Option<Now>,
    /// Of some socket of it nobody knows how many connections were accepted, since its queue could not be read.
    pub(super) accepted_is_unknown: bool,
    /// And never will, since that one was closed.
    accepted_is_lost: bool,
    /// Some socket of it is not known to be closed.
    is_open: bool,
    missing_since: Option<u64>,
}

/// What listeners went through.
#[derive(Clone, Debug, Default)]
pub(super) struct Went {
    pub(super) established: u64,
    pub(super) accepted: u64,
    pub(super) cookies_sent: u64,
    pub(super) waits: Waits,
}

/// One socket at the last census.
#[derive(Debug, Default)]
struct Last {
    addr: Option<SocketAddr>,
    went: Went,
}

/// Lengths of waits by the bounds of the buckets, how many there were, and their sum in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits {
    pub(super) below: Vec<u64>,
    pub(super) count: u64,
    pub(super) sum_ns: f64,
}

/// Bounds of the buckets, as powers of two of 1,024 ns: 131 µs to 69 s. They are bounds of the kernel side's steps, too.
pub(super) const POWERS: std::ops::Range<u32> = 7..27;

/// The fullest of its sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) queued: u32,
    pub(super) peak: (u32, u32),
    pub(super) syn_peak: u32,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) series: BTreeMap<Identity, Series>,
    /// Whose series a name of the counts or of the figures belongs to.
    of: HashMap<(u32, u64), Identity>,
    /// What each socket had gone through by the last census.
    rows: HashMap<(u32, u64), Last>,
    established: u64,
    /// By label and kind: of the namespace as a whole.
    pub(super) refused: BTreeMap<(Arc<str>, Kind), u64>,
    missing_netns: HashMap<Arc<str>, u64>,
    names: HashMap<u32, Arc<str>>,
}

impl Listeners {
    /// Finds out who is meant by the names of a census.
    pub(super) fn meet(&mut self, census: &Census, limits: Limits) {
        self.name_namespaces(census, limits);
        let counted = census.counts.iter().filter(|one| is_named(one));
        let counted = counted.map(|one| (one.netns, one.listener));
        let rows: HashMap<(u32, u64), &ListenerStatsRow> = census
            .summary
            .stats
            .iter()
            .map(|row| ((row.netns, row.cookie), row))
            .collect();
        let names: HashSet<(u32, u64)> = counted.chain(rows.keys().copied()).collect();
        self.of.retain(|name, _| names.contains(name));
        for name in names {
            let is_settled = |identity: &Identity| identity.is_other() || identity.has_owner();
            if self.of.get(&name).is_some_and(is_settled) {
                continue;
            }
            let netns = self.label(name.0);
            let found = match (rows.get(&name), census.listeners.get(&name)) {
                (Some(row), _) if row.addr.is_some() => {
                    row.addr.map(|addr| (addr, &row.owner, &row.cgroup))
                }
                (_, Some(tally)) => tally.addr.map(|addr| (addr, &tally.owner, &tally.cgroup)),
                _ => None,
            };
            let identity = match found {
                Some((addr, owner, cgroup)) if &*netns != OTHER => {
                    Identity::of(addr, Arc::clone(&netns), owner, cgroup.as_deref())
                }
                _ => Identity::other(Arc::clone(&netns)),
            };
            let has_room =
                self.series.contains_key(&identity) || self.own().count() < limits.listeners;
            let identity = if has_room {
                identity
            } else {
                Identity::other(netns)
            };
            self.series.entry(identity.clone()).or_default();
            self.of.insert(name, identity);
        }
    }

    /// Each namespace has a label, and the first so many have one of their own.
    fn name_namespaces(&mut self, census: &Census, limits: Limits) {
        let counted = census.counts.iter().map(|one| one.netns);
        let rows = census.summary.stats.iter().map(|row| row.netns);
        let all: HashSet<u32> = counted
            .chain(rows)
            .chain(census.summary.accounted.iter().copied())
            .filter(|netns| *netns != NAMESPACES)
            .collect();
        self.names.retain(|netns, _| all.contains(netns));
        let names = &census.summary.netns_names;
        for netns in all {
            let label = name_in(netns, names, &census.summary.stats);
            let before = self.names.get(&netns);
            let has_room = before.is_some_and(|before| &**before != OTHER)
                || before.is_none() && self.names.len() < limits.listeners;
            let label = if has_room { label } else { OTHER.into() };
            self.names.insert(netns, label);
        }
    }

    /// What a namespace is called; those that are told of together are called `other`.
    pub(super) fn label(&self, netns: u32) -> Arc<str> {
        let known = self.names.get(&netns).cloned();
        known.unwrap_or_else(|| OTHER.into())
    }

    fn own(&self) -> impl Iterator<Item = &Identity> {
        self.series.keys().filter(|identity| !identity.is_other())
    }

    /// What namespaces refused.
    pub(super) fn refusals(&self) -> impl Iterator<Item = u64> {
        let of_listeners = self
            .refused
            .iter()
            .filter(|((_, kind), _)| kind.is_refusal());
        of_listeners.map(|(_, n)| *n)
    }

    /// Sockets that have no series of their own.
    pub(super) fn folded(&self) -> usize {
        let all = self.of.values();
        all.filter(|identity| identity.is_other()).count()
    }

    /// So many more, of this listener or of others of its namespace.
    pub(super) fn add(&mut self, netns: u32, listener: Option<u64>, what: &What, n: u64) {
        if n == 0 || !what.0.is_refusal() && what.0 != Kind::Refused {
            return;
        }
        let label = self.label(netns);
        let sum = self.refused.entry((Arc::clone(&label), what.0));
        *sum.or_default() += n;
        if !what.0.is_refusal() {
            return;
        }
        let known = listener.and_then(|name| self.of.get(&(netns, name)).cloned());
        let identity = known.unwrap_or_else(|| Identity::other(label));
        let series = self.series.entry(identity).or_default();
        *series.refused.entry(what.clone()).or_default() += n;
    }

    /// What sockets went through since the last census.
    pub(super) fn add_rows(&mut self, census: &Census) {
        let mut before = std::mem::take(&mut self.rows);
        let rows = census.summary.stats.iter();
        let names: HashSet<(u32, u64)> = rows.map(|row| (row.netns, row.cookie)).collect();
        let mut now: HashMap<Identity, Now> = HashMap::new();
        let mut open: HashSet<Identity> = HashSet::new();
        let mut unknown: HashSet<Identity> = HashSet::new();
        let mut given = 0;
        for row in &census.summary.stats {
            let name = (row.netns, row.cookie);
            let Some(identity) = self.of.get(&name).cloned() else {
                continue;
            };
            let went = Went::of(row);
            let was = match before.remove(&name) {
                Some(was) => was.went,
                None => renamed(&mut before, row, &names),
            };
            let series = self.series.entry(identity.clone()).or_default();
            given += went.established.saturating_sub(was.established);
            let is_known = row.accepted.number().is_some();
            series.went.add_since(&went, &was, is_known);
            if !is_known {
                series.accepted_is_lost |= row.is_closed;
                unknown.insert(identity.clone());
            }
            let went = went.or_later(was);
            let addr = row.addr;
            self.rows.insert(name, Last { addr, went });
            if !row.is_closed {
                open.insert(identity.clone());
            }
            if let (Some(queued), false) = (row.queued, row.is_closed) {
                let now = now.entry(identity).or_insert_with(Now::nothing);
                now.join(row, queued);
            }
        }
        let established = established_in(&census.summary);
        let gain = established.saturating_sub(self.established);
        self.established = established.max(self.established);
        let rest = gain.saturating_sub(given);
        if rest > 0 {
            let other = Identity::other(OTHER.into());
            self.series.entry(other).or_default().went.established += rest;
        }
        for (identity, series) in &mut self.series {
            series.now = now.get(identity).copied();
            series.is_open = open.contains(identity);
            series.accepted_is_unknown = series.accepted_is_lost || unknown.contains(identity);
        }
    }

    /// Whoever closed long ago, or ended, goes to the others.
    pub(super) fn age(&mut self, census: &Census, limits: Limits) {
        let mut old = Vec::new();
        for (identity, series) in &mut self.series {
            if series.is_open || identity.is_other() {
                series.missing_since = None;
                continue;
            }
            let since = *series.missing_since.get_or_insert(census.mono_ns);
            if census.mono_ns.saturating_sub(since) > limits.closed_ns {
                old.push(identity.clone());
            }
        }
        for identity in old {
            self.fold(&identity, Identity::other(Arc::clone(&identity.netns)));
        }
        self.age_namespaces(census, limits);
    }

    fn age_namespaces(&mut self, census: &Census, limits: Limits) {
        let present: HashSet<Arc<str>> = census
            .present
            .iter()
            .map(|netns| self.label(*netns))
            .collect();
        let labels = self.series.keys().map(|identity| &identity.netns);
        let labels: HashSet<Arc<str>> = labels
            .chain(self.refused.keys().map(|(netns, _)| netns))
            .filter(|netns| &***netns != OTHER && !present.contains(*netns))
            .cloned()
            .collect();
        self.missing_netns.retain(|netns, _| labels.contains(netns));
        for netns in labels {
            let since = *self
                .missing_netns
                .entry(Arc::clone(&netns))
                .or_insert(census.mono_ns);
            if census.mono_ns.saturating_sub(since) > limits.closed_ns {
                self.fold_namespace(&netns);
            }
        }
    }

    fn fold(&mut self, from: &Identity, to: Identity) {
        let Some(series) = self.series.remove(from) else {
            return;
        };
        for identity in self.of.values_mut().filter(|identity| *identity == from) {
            identity.clone_from(&to);
        }
        let sum = self.series.entry(to).or_default();
        for (what, n) in series.refused {
            *sum.refused.entry(what).or_default() += n;
        }
        sum.went.add_since(&series.went, &Went::default(), true);
    }

    fn fold_namespace(&mut self, netns: &Arc<str>) {
        let here = |identity: &&Identity| identity.netns == *netns;
        let identities: Vec<Identity> = self.series.keys().filter(here).cloned().collect();
        for identity in identities {
            self.fold(&identity, Identity::other(OTHER.into()));
        }
        for name in self.names.values_mut().filter(|name| *name == netns) {
            *name = OTHER.into();
        }
        let of_netns = |(label, _): &&(Arc<str>, Kind)| label == netns;
        let kinds: Vec<_> = self.refused.keys().filter(of_netns).cloned().collect();
        for key in kinds {
            if let Some(n) = self.refused.remove(&key) {
                *self.refused.entry((OTHER.into(), key.1)).or_default() += n;
            }
        }
    }
}

fn is_named(one: &Counted) -> bool {
    !matches!(one.listener, 0 | TOGETHER) && one.netns != NAMESPACES
}

/// Rows know names that the summary's table lacks.
fn name_in(netns: u32, names: &NetnsNames, rows: &[ListenerStatsRow]) -> Arc<str> {
    if names.contains_key(&netns) {
        return netns_in(netns, names);
    }
    let row = rows.iter().find(|row| row.netns == netns);
    let name = row.and_then(|row| row.netns_name.as_deref());
    super::identity::netns_label(netns, name)
}

/// What a socket had gone through under its other name: it is known by its kernel address where its cookie is not known,
/// before somebody asked for it and after it was closed.
fn renamed(
    before: &mut HashMap<(u32, u64), Last>,
    row: &ListenerStatsRow,
    names: &HashSet<(u32, u64)>,
) -> Went {
    let is_it = |(name, last): &(&(u32, u64), &Last)| {
        name.0 == row.netns
            && last.addr == row.addr
            && (is_address(name.1) || is_address(row.cookie))
            && last.went.established <= row.established
            && !names.contains(*name)
    };
    let found = before.iter().find(is_it).map(|(name, _)| *name);
    let was = found.and_then(|name| before.remove(&name));
    was.map_or_else(Went::default, |was| was.went)
}

fn established_in(summary: &Summary) -> u64 {
    let rows = summary.stats.iter().map(|row| row.established);
    rows.sum::<u64>() + summary.others.established
}

impl Went {
    fn of(row: &ListenerStatsRow) -> Self {
        let (below, count, sum_ns) = row.waits.below(POWERS);
        Self {
            established: row.established,
            accepted: row.accepted.number().unwrap_or(0),
            cookies_sent: row.cookies_sent,
            waits: Waits {
                below,
                count,
                sum_ns,
            },
        }
    }

    /// What is not known now is what it was.
    fn or_later(mut self, was: Self) -> Self {
        self.accepted = self.accepted.max(was.accepted);
        self
    }

    fn add_since(&mut self, now: &Self, was: &Self, accepted_is_known: bool) {
        self.established += now.established.saturating_sub(was.established);
        self.cookies_sent += now.cookies_sent.saturating_sub(was.cookies_sent);
        if accepted_is_known {
            self.accepted += now.accepted.saturating_sub(was.accepted);
        }
        self.waits.count += now.waits.count.saturating_sub(was.waits.count);
        self.waits.sum_ns += (now.waits.sum_ns - was.waits.sum_ns).max(0.0);
        self.waits.below.resize(POWERS.len(), 0);
        for (at, sum) in self.waits.below.iter_mut().enumerate() {
            let of = |waits: &Waits| waits.below.get(at).copied().unwrap_or(0);
            *sum += of(&now.waits).saturating_sub(of(&was.waits));
        }
    }
}

impl Now {
    const fn nothing() -> Self {
        Self {
            queued: 0,
            peak: (0, 0),
            syn_peak: 0,
        }
    }

    fn join(&mut self, row: &ListenerStatsRow, queued: u32) {
        self.queued = self.queued.max(queued);
        self.peak = self.peak.max(row.accept_queue);
        self.syn_peak = self.syn_peak.max(row.syn_queue.0);
    }
}
