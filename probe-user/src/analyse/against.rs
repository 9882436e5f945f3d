//! An earlier watch beside this one: how both began and what they came to comes in, a table goes out. It does no I/O and
//! reads no clock, and what one of them does not know is never zero.

use std::{cmp::Reverse, collections::BTreeSet, time::Duration};

use crate::{
    analyse::judge::{self, Scope},
    filter::ListenerFilter,
    model::{
        Against, Figures, Histogram, Late, ListenerStatsRow, ListenerTally, Pair, Port, Start,
        Summary, Watched, tier::Tier,
    },
};

/// Ports that are compared.
const PORTS_AT_MOST: usize = 16;

/// What is said of connections that are not seen to leave the queue.
const WAITS: &str = "accept-wait";

/// How filters are said.
pub const LISTENER: &str = "listener ";
const NAMESPACE: &str = "namespace ";

/// A watch: how it began, and what it came to.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    pub start: &'a Start,
    pub summary: &'a Summary,
}

/// Both watches, of these listeners, or of all where none is named. `has_stories`: whether delays are compared, too.
pub fn against(
    then: Watch<'_>,
    now: Watch<'_>,
    only: &[ListenerFilter],
    has_stories: bool,
) -> Against {
    let mut ports: BTreeSet<u16> = only.iter().map(ListenerFilter::port).collect();
    if only.is_empty() {
        ports.extend(then.ports().chain(now.ports()));
    }
    let figures = |port: &u16| Port {
        port: *port,
        figures: Pair {
            then: then.figures(*port, only, !now.is_of_one()),
            now: now.figures(*port, only, false),
        },
    };
    let mut ports: Vec<Port> = ports.iter().map(figures).collect();
    ports.sort_by_key(|one| Reverse((one.refusals(), one.established(), Reverse(one.port))));
    let more = ports.len().saturating_sub(PORTS_AT_MOST);
    ports.truncate(PORTS_AT_MOST);
    let mut notes = differences(then, now);
    notes.extend(then.notes());
    Against {
        then: then.told(),
        now: now.told(),
        ports,
        more,
        delays: has_stories.then(|| Pair {
            then: then.late(),
            now: now.late(),
        }),
        notes,
    }
}

/// Why figures are not of the same thing.
fn differences(then: Watch<'_>, now: Watch<'_>) -> Vec<String> {
    let words = |watch: Watch<'_>| match watch.start.filters.as_slice() {
        [] => "everything".to_owned(),
        filters => filters.join(", "),
    };
    let mut notes = Vec::new();
    let (before, after) = (words(then), words(now));
    if before != after {
        notes.push(format!("then {before} was watched, now {after}"));
    }
    let (before, after) = (then.summary.tier, now.summary.tier);
    if before != after {
        notes.push(format!(
            "then it was watched on tier {before}, now on {after}"
        ));
    }
    notes
}

impl Watch<'_> {
    fn told(self) -> Watched {
        let start = self.start;
        Watched {
            began: start.clock.at(start.mono_ns),
            lasted: self.summary.duration,
            host: start.host.clone(),
            tier: self.summary.tier,
            command: start.command.clone(),
        }
    }

    /// Ports to which something came, or at which somebody was refused.
    fn ports(self) -> impl Iterator<Item = u16> {
        let rows = self.summary.stats.iter().map(|row| row.addr);
        let tallies = self.summary.listeners.iter().map(|tally| tally.addr);
        rows.chain(tallies).flatten().map(|addr| addr.port())
    }

    /// Why something of it may be missing.
    fn notes(self) -> Vec<String> {
        let rows = self.summary.stats.iter().map(|row| row.netns);
        let tallies = self.summary.listeners.iter().map(|tally| tally.netns);
        let namespaces: Vec<u32> = rows.chain(tallies).collect();
        let scope = Scope {
            namespaces: (!namespaces.is_empty()).then_some(&namespaces[..]),
            picks_listeners: true,
            reads_all: self.start.reads_all,
        };
        let doubts = judge::doubts(self.summary, scope).into_iter();
        let mut notes: Vec<String> = doubts.map(|doubt| format!("then: {doubt}")).collect();
        if self.is_counters() {
            notes.push(
                "then there were no hooks: what listeners went through is not recorded".into(),
            );
        } else if !self.sees_waits() {
            notes.push("then it was not seen how long connections waited for accept(2)".into());
        }
        notes
    }

    fn is_counters(self) -> bool {
        self.summary.tier == Tier::Counters
    }

    fn sees_waits(self) -> bool {
        !self.is_counters() && !self.start.blind.contains(&WAITS)
    }

    /// Whether it is of one namespace only.
    fn is_of_one(self) -> bool {
        let mut filters = self.start.filters.iter();
        filters.any(|words| words.starts_with(NAMESPACE))
    }

    /// Whether its counts of these listeners are whole: it could read them, and it looked at them.
    fn knows(self, port: u16, only: &[ListenerFilter]) -> bool {
        let filters = || self.start.filters.iter();
        // Rows were chosen by something else.
        let chose = |words: &String| !words.starts_with(LISTENER) && !words.starts_with(NAMESPACE);
        let watched = filters().filter_map(|words| words.strip_prefix(LISTENER));
        let mut watched = watched.peekable();
        let asked: Vec<String> = only.iter().map(ListenerFilter::to_string).collect();
        let any = format!(":{port}");
        let is_watched = watched.peek().is_none()
            || watched.any(|one| one == any || asked.iter().any(|asked| asked == one));
        is_watched && !filters().any(chose) && !self.is_counters() && self.summary.unread.is_empty()
    }

    /// What the listeners of one port went through together. `asks_all`: of all namespaces, whichever were watched.
    fn figures(self, port: u16, only: &[ListenerFilter], asks_all: bool) -> Figures {
        if !self.knows(port, only) {
            return Figures::default();
        }
        let is_theirs = |addr: Option<std::net::SocketAddr>| {
            let is_there = addr.filter(|addr| addr.port() == port);
            is_there
                .is_some_and(|at| only.is_empty() || only.iter().any(|one| one.takes_listener(at)))
        };
        let summary = self.summary;
        let rows: Vec<&ListenerStatsRow> = summary
            .stats
            .iter()
            .filter(|row| is_theirs(row.addr))
            .collect();
        let tallies = || summary.listeners.iter();
        // It may have been one of theirs.
        let is_placed = tallies().all(|tally| tally.addr.is_some() || tally.refusals() == 0);
        let theirs = tallies().filter(|tally| is_theirs(tally.addr));
        let refusals: u64 = theirs.map(ListenerTally::refusals).sum();
        if asks_all && self.is_of_one() && rows.is_empty() && refusals == 0 {
            // It may have been in another one.
            return Figures::default();
        }
        // One without an address may have been one of theirs, too.
        let nothing_came = |row: &ListenerStatsRow| {
            row.established == 0 && row.accept_queue.0 == 0 && row.syn_queue.0 == 0
        };
        let are_placed = summary
            .stats
            .iter()
            .all(|row| row.addr.is_some() || nothing_came(row));
        let has_all = summary.health.stats_full == 0 && are_placed;
        let accepted: Option<u64> = rows.iter().map(|row| row.accepted.number()).sum();
        let mut waits = Histogram::default();
        for row in &rows {
            waits.join(&row.waits);
        }
        Figures {
            refusals: is_placed.then_some(refusals),
            established: has_all.then(|| rows.iter().map(|row| row.established).sum()),
            accepted: accepted.filter(|_| has_all),
            accept_queue: fullest(rows.iter().map(|row| row.accept_queue)).filter(|_| has_all),
            syn_queue: fullest(rows.iter().map(|row| row.syn_queue)).filter(|_| has_all),
            sees_waits: self.sees_waits() && has_all,
            waits: percentiles(&waits).filter(|_| self.sees_waits() && has_all),
        }
    }

    fn late(self) -> Late {
        let stories = self.summary.stories.as_ref();
        Late {
            is_known: stories.is_some(),
            delays: stories.and_then(|totals| percentiles(&totals.delays)),
        }
    }
}

/// The queue that was nearest to its limit.
fn fullest(queues: impl Iterator<Item = (u32, u32)>) -> Option<(u32, u32)> {
    queues.max_by(|one, other| {
        // len / limit, without a division by a limit of 0.
        let share = |of: &(u32, u32), by: &(u32, u32)| u64::from(of.0) * (u64::from(by.1) + 1);
        share(one, other).cmp(&share(other, one))
    })
}

fn percentiles(of: &Histogram) -> Option<[Duration; 3]> {
    let all = [of.percentile(50)?, of.percentile(99)?, of.max_ns()];
    Some(all.map(Duration::from_nanos))
}

impl Port {
    fn refusals(&self) -> u64 {
        sum(self.figures.then.refusals, self.figures.now.refusals)
    }

    fn established(&self) -> u64 {
        sum(self.figures.then.established, self.figures.now.established)
    }
}

/// For the order only: what is not known weighs nothing.
fn sum(then: Option<u64>, now: Option<u64>) -> u64 {
    then.into_iter().chain(now).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyse::judge::tests::summary,
        model::{Accepted, Asked, Clock, SelfTest, kind::Kind},
    };

    fn start(filters: &[&str], blind: &[&'static str]) -> Start {
        Start {
            tier: Tier::Cgroup,
            hooks: Vec::new(),
            self_test: SelfTest::Passed { overflows: 3 },
            kernel: "6.18.0".into(),
            absent: Vec::new(),
            filters: filters.iter().map(|words| (*words).to_owned()).collect(),
            listeners: 1,
            namespaces: 1,
            blind: blind.to_vec(),
            own_netns: 7,
            mono_ns: 0,
            clock: Clock::of(0),
            host: "a.example".into(),
            boot_id: None,
            command: Vec::new(),
            observes: false,
            sandbox: None,
            counts_kernel: true,
            reads_all: true,
            asked: Asked::default(),
        }
    }

    fn row(addr: &str, established: u64, accept_queue: (u32, u32)) -> ListenerStatsRow {
        let mut waits = Histogram::default();
        (0..established).for_each(|_| waits.add(2_000_000));
        ListenerStatsRow {
            netns: 7,
            cookie: 5,
            addr: addr.parse().ok(),
            established,
            accepted: Accepted::Counted(established),
            accept_queue,
            syn_queue: (1, 8),
            waits,
            ..ListenerStatsRow::default()
        }
    }

    fn tally(addr: &str, n: u64) -> ListenerTally {
        ListenerTally {
            cookie: 5,
            netns: 7,
            addr: addr.parse().ok(),
            owner: [].into(),
            cgroup: None,
            counts: [((Kind::Overflow, None), n)].into(),
            causes: [((Kind::Overflow, "accept-queue-full".into()), n)].into(),
        }
    }

    fn came(rows: Vec<ListenerStatsRow>, tallies: Vec<ListenerTally>) -> Summary {
        Summary {
            stats: rows,
            listeners: tallies,
            ..summary(Tier::Cgroup, Some(0), Some(0))
        }
    }

    const PORT: &str = "10.0.0.1:80";
    const OTHER: &str = "10.0.0.2:80";

    /// Of `:80`, of a watch that was asked for these.
    fn figures(filters: &[&str], summary: &Summary) -> Figures {
        let start = start(filters, &[]);
        let watch = Watch {
            start: &start,
            summary,
        };
        let only = [":80".parse().expect("a listener")];
        let all = against(watch, watch, &only, false);
        assert_eq!(all.ports.len(), 1);
        all.ports[0].figures.then
    }

    #[test]
    fn listeners_of_one_port_are_told_together() {
        let rows = vec![
            row(PORT, 3, (2, 128)),
            row(OTHER, 4, (5, 8)),
            row("10.0.0.1:81", 9, (9, 9)),
        ];
        let both = came(rows, vec![tally(PORT, 7), tally("10.0.0.1:81", 9)]);
        let found = figures(&[], &both);
        assert_eq!(
            (found.refusals, found.established, found.accepted),
            (Some(7), Some(7), Some(7))
        );
        // Five of eight is nearer to the limit than two of 128.
        assert_eq!(found.accept_queue, Some((5, 8)));
        assert_eq!(
            found.waits.map(|[.., max]| max),
            Some(Duration::from_millis(2))
        );
        assert_eq!(figures(&["listener :80"], &both), found);
        // A listener of which the address is not known may have been one of them.
        let mut nameless = both.clone();
        nameless.stats.push(row("no address", 2, (1, 8)));
        let found = figures(&[], &nameless);
        assert_eq!((found.established, found.accept_queue), (None, None));
        assert_eq!(found.refusals, Some(7));
    }

    #[test]
    fn nothing_is_zero_only_where_it_was_looked_for() {
        let nothing = came(Vec::new(), Vec::new());
        assert_eq!(figures(&[], &nothing).refusals, Some(0));
        for filters in [&["listener :81"][..], &["listener 10.0.0.1:80"], &["pid 5"]] {
            assert_eq!(
                figures(filters, &nothing),
                Figures::default(),
                "{filters:?}"
            );
        }
        let mut unread = nothing.clone();
        unread.unread.push("the counts could not be read".into());
        assert_eq!(figures(&[], &unread), Figures::default());
        let counters = Summary {
            tier: Tier::Counters,
            ..nothing.clone()
        };
        assert_eq!(figures(&[], &counters), Figures::default());
        let unplaced = came(Vec::new(), vec![tally("?", 2)]);
        assert_eq!(figures(&[], &unplaced).refusals, None);
        let mut no_room = nothing;
        no_room.health.stats_full = 1;
        assert_eq!(figures(&[], &no_room).established, None);
    }

    #[test]
    fn of_another_namespace_nothing_is_known() {
        let nothing = came(Vec::new(), Vec::new());
        let (one, all) = (start(&["namespace 9"], &[]), start(&[], &[]));
        let of = |start| Watch {
            start,
            summary: &nothing,
        };
        let only = [":80".parse().expect("a listener")];
        let then = |now| {
            against(of(&one), of(now), &only, false).ports[0]
                .figures
                .then
        };
        assert_eq!(then(&all), Figures::default());
        // Both are of one: that of an earlier container has another number.
        assert_eq!(then(&one).refusals, Some(0));
    }

    #[test]
    fn what_differs_is_said() {
        let nothing = came(Vec::new(), Vec::new());
        let (then, now) = (start(&["listener :80"], &["accept-wait"]), start(&[], &[]));
        let of = |start| Watch {
            start,
            summary: &nothing,
        };
        let notes = against(of(&then), of(&now), &[], false).notes;
        assert_eq!(
            notes,
            [
                "then listener :80 was watched, now everything",
                "then it was not seen how long connections waited for accept(2)"
            ]
        );
    }

    #[test]
    fn ports_that_refused_most_come_first() {
        let rows: Vec<ListenerStatsRow> = (1..40)
            .map(|port| row(&format!("10.0.0.1:{port}"), 1, (1, 8)))
            .collect();
        let busy = came(rows, vec![tally("10.0.0.1:39", 1)]);
        let start = start(&[], &[]);
        let watch = Watch {
            start: &start,
            summary: &busy,
        };
        let all = against(watch, watch, &[], true);
        let ports: Vec<u16> = all.ports.iter().map(|port| port.port).collect();
        assert_eq!((ports.len(), all.more), (PORTS_AT_MOST, 23));
        assert_eq!(ports[..3], [39, 1, 2]);
        assert!(all.delays.is_some_and(|late| !late.then.is_known));
    }
}
