//! What is forgotten, folded, renamed and unreadable, without a kernel.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{Limits, gains::Gains, listeners::Listeners};
use crate::model::{
    Accepted, ListenerStatsRow, Row, Summary,
    census::{Census, Counted},
    exposition::{Family, Metric, Value},
    gone::{NAMESPACES, TOGETHER},
    kind::{Kind, Stage},
    owner::Owner,
    tier::Tier,
};

const LIMITS: Limits = Limits {
    listeners: 2,
    closed_ns: 100,
};

fn overflow(netns: u32, listener: u64, n: u64) -> Counted {
    Counted {
        netns,
        listener,
        kind: Kind::Overflow,
        stage: Some(Stage::Syn),
        cause: Some("accept-queue-full".into()),
        n,
    }
}

/// A listener on this port that listens still.
fn row(netns: u32, cookie: u64, port: u16, established: u64) -> ListenerStatsRow {
    ListenerStatsRow {
        netns,
        cookie,
        addr: Some(([127, 0, 0, 1], port).into()),
        owner: Arc::from([Owner {
            pid: 1,
            comm: "nginx".into(),
            exe: None,
        }]),
        established,
        accepted: Accepted::Counted(established),
        queued: Some(0),
        ..ListenerStatsRow::default()
    }
}

fn census(mono_ns: u64, counts: Vec<Counted>, stats: Vec<ListenerStatsRow>) -> Census {
    let present = BTreeSet::from([1, 2]);
    Census {
        mono_ns,
        counts,
        listeners: BTreeMap::new(),
        present: present.clone(),
        summary: Summary {
            duration: Duration::ZERO,
            tier: Tier::Cgroup,
            counts: Default::default(),
            causes: Default::default(),
            top_clients: None,
            listeners: Vec::new(),
            stats,
            others: Default::default(),
            stories: None,
            groups: Vec::new(),
            loss: Default::default(),
            health: Default::default(),
            skipped: Default::default(),
            rows: Vec::new(),
            accounted: present,
            unread: Vec::new(),
            netns_names: Default::default(),
            unseen: Vec::new(),
            moving: false,
            interim: true,
        },
    }
}

#[derive(Default)]
struct All {
    gains: Gains,
    listeners: Listeners,
}

impl All {
    fn take(&mut self, census: &Census) {
        self.listeners.meet(census, LIMITS);
        self.listeners.add_rows(census);
        self.gains.take(&census.counts, &mut self.listeners);
        self.listeners.age(census, LIMITS);
    }

    /// `LISTENER@NETNS` with what each refused, those that refused somebody.
    fn refused(&self) -> BTreeMap<String, u64> {
        let all = self.listeners.series.iter();
        let all = all.map(|(identity, series)| {
            let name = format!("{}@{}", identity.listener, identity.netns);
            (name, series.refused.values().sum())
        });
        all.filter(|(_, n)| *n > 0).collect()
    }

    fn of_netns(&self, netns: &str) -> u64 {
        let key = (Arc::from(netns), Kind::Overflow);
        self.listeners.refused.get(&key).copied().unwrap_or(0)
    }

    #[track_caller]
    fn check(&self, expect: &[(&str, u64)]) {
        let expect = expect.iter().map(|(name, n)| ((*name).to_owned(), *n));
        assert_eq!(self.refused(), expect.collect());
    }
}

#[test]
fn what_is_forgotten_takes_nothing_with_it() {
    let mut all = All::default();
    let rows = vec![row(1, 5, 80, 3)];
    all.take(&census(1, vec![overflow(1, 5, 7), overflow(1, 0, 1)], rows));
    all.check(&[("127.0.0.1:80@1", 7), ("other@1", 1)]);
    // Two more were refused before it was forgotten: they are known of the namespace alone.
    let together = vec![overflow(1, TOGETHER, 9), overflow(1, 0, 1)];
    all.take(&census(2, together, Vec::new()));
    all.check(&[("127.0.0.1:80@1", 7), ("other@1", 3)]);
    // The namespace is forgotten, and its number is another one's.
    let counts = vec![
        overflow(NAMESPACES, TOGETHER, 10),
        overflow(NAMESPACES, 0, 1),
        overflow(1, 5, 4),
    ];
    all.take(&census(3, counts, vec![row(1, 5, 80, 0)]));
    assert_eq!(all.refused().values().sum::<u64>(), 15);
    assert_eq!(all.of_netns("1") + all.of_netns("other"), 15);
}

#[test]
fn who_closed_long_ago_goes_to_the_others() {
    let mut all = All::default();
    let counts = || vec![overflow(1, 5, 7)];
    all.take(&census(1, counts(), vec![row(1, 5, 80, 3)]));
    let closed = || {
        vec![ListenerStatsRow {
            is_closed: true,
            queued: Some(0),
            ..row(1, 5, 80, 3)
        }]
    };
    all.take(&census(50, counts(), closed()));
    all.take(&census(149, counts(), closed()));
    all.check(&[("127.0.0.1:80@1", 7)]);
    all.take(&census(151, counts(), closed()));
    all.check(&[("other@1", 7)]);
    let established = all
        .listeners
        .series
        .values()
        .map(|one| one.went.established);
    assert_eq!(established.sum::<u64>(), 3);
    assert_eq!(all.of_netns("1"), 7);
    // What it counts later is not its own any more.
    all.take(&census(152, vec![overflow(1, 5, 8)], closed()));
    all.check(&[("other@1", 8)]);
}

/// On kprobes a socket has two names, and one of them comes and goes.
#[test]
fn a_socket_that_is_renamed_is_counted_once() {
    let (cookie, address) = (5, 1 << 63 | 4096);
    let mut all = All::default();
    for (mono_ns, (name, established)) in (1..).zip([(address, 3), (cookie, 4), (address, 6)]) {
        let rows = vec![row(1, name, 80, established)];
        all.take(&census(mono_ns, Vec::new(), rows));
    }
    let series = all.listeners.series.values();
    let established: u64 = series.map(|one| one.went.established).sum();
    assert_eq!(established, 6);
}

/// Where sockets of other namespaces may not be asked for, nobody is closed for that.
#[test]
fn who_cannot_be_looked_at_keeps_its_name() {
    let mut all = All::default();
    let unseen = || {
        vec![ListenerStatsRow {
            queued: None,
            ..row(1, 5, 80, 3)
        }]
    };
    for mono_ns in [1, 500] {
        all.take(&census(mono_ns, vec![overflow(1, 5, 7)], unseen()));
        all.check(&[("127.0.0.1:80@1", 7)]);
    }
}

#[test]
fn a_restart_at_the_same_address_goes_on() {
    let mut all = All::default();
    all.take(&census(1, vec![overflow(1, 5, 7)], vec![row(1, 5, 80, 3)]));
    let both = vec![overflow(1, 5, 7), overflow(1, 6, 2)];
    all.take(&census(500, both, vec![row(1, 5, 80, 3), row(1, 6, 80, 1)]));
    let forgotten = vec![overflow(1, TOGETHER, 7), overflow(1, 6, 2)];
    all.take(&census(900, forgotten, vec![row(1, 6, 80, 1)]));
    all.check(&[("127.0.0.1:80@1", 9)]);
    let established: Vec<u64> = (all.listeners.series.values())
        .map(|one| one.went.established)
        .collect();
    assert_eq!(established.iter().sum::<u64>(), 4);
}

#[test]
fn there_are_no_more_series_than_that() {
    let mut all = All::default();
    let rows = |n: u16| (1..=n).map(|port| row(1, port.into(), port, 1)).collect();
    let counts = |n: u64| (1..=n).map(|listener| overflow(1, listener, 1)).collect();
    for mono_ns in 1..4 {
        all.take(&census(mono_ns, counts(9), rows(9)));
        let refused = all.refused();
        assert_eq!(refused.len(), 3, "{refused:?}");
        assert_eq!(refused["other@1"], 7);
        assert_eq!(all.listeners.folded(), 7);
    }
}

#[test]
fn who_is_known_later_gets_a_name_and_no_count_twice() {
    let mut all = All::default();
    let nobody = ListenerStatsRow {
        owner: Arc::from([]),
        ..row(1, 5, 80, 3)
    };
    all.take(&census(1, vec![overflow(1, 5, 7)], vec![nobody]));
    all.take(&census(2, vec![overflow(1, 5, 9)], vec![row(1, 5, 80, 4)]));
    let series = all.listeners.series.values();
    let refused: Vec<u64> = series.map(|one| one.refused.values().sum()).collect();
    assert_eq!(refused, [7, 2]);
}

fn samples<'a>(families: &'a [Family], name: &str) -> Vec<&'a Value> {
    let family = families.iter().find(|family| family.name == name);
    family.map_or_else(Vec::new, |family| {
        family.samples.iter().map(|one| &one.value).collect()
    })
}

#[test]
fn what_cannot_be_read_has_no_sample() {
    let mut census = census(1, Vec::new(), Vec::new());
    let known = Row {
        netns: 1,
        counter: "ListenDrops",
        kernel: Some(3),
        no_kernel: None,
        seen: 4,
        sampled: 0,
        lost: 0,
        unattributed: Some(-1),
    };
    census.summary.rows = vec![
        Row {
            netns: 2,
            kernel: None,
            unattributed: None,
            ..known.clone()
        },
        known,
    ];
    let mut all = All::default();
    all.take(&census);
    let families = super::families::of_the_census(&census, &all.listeners);
    assert_eq!(samples(&families, "whydrop_kernel"), [&Value::Count(3)]);
    assert_eq!(
        samples(&families, "whydrop_unattributed"),
        [&Value::Signed(-1)]
    );
}

#[test]
fn accepted_is_told_where_it_is_known_of_every_socket() {
    let unknown = ListenerStatsRow {
        accepted: Accepted::Unknown,
        queued: None,
        ..row(1, 6, 80, 2)
    };
    let mut all = All::default();
    all.take(&census(1, Vec::new(), vec![row(1, 5, 80, 3), unknown]));
    let families = all.listeners.families();
    assert!(samples(&families, "whydrop_listener_accepted").is_empty());
    assert_eq!(
        samples(&families, "whydrop_listener_established"),
        [&Value::Count(5)]
    );
}

#[test]
fn accepted_is_told_again_when_it_is_known_again_and_never_of_one_that_closed_before() {
    let at = |is_closed: bool, accepted: Accepted| ListenerStatsRow {
        accepted,
        is_closed,
        queued: None,
        ..row(1, 5, 80, 3)
    };
    let told = |rows: &[ListenerStatsRow]| {
        let mut all = All::default();
        for (n, row) in rows.iter().enumerate() {
            all.take(&census(n as u64 + 1, Vec::new(), vec![row.clone()]));
        }
        let families = all.listeners.families();
        samples(&families, "whydrop_listener_accepted").len()
    };
    let unread = at(false, Accepted::Unknown);
    assert_eq!(told(std::slice::from_ref(&unread)), 0);
    assert_eq!(told(&[unread.clone(), at(false, Accepted::Derived(3))]), 1);
    assert_eq!(told(&[unread, at(true, Accepted::Unknown)]), 0);
}

#[test]
fn the_page_names_every_metric() {
    let page = include_str!("../../../../docs/serve.md");
    let census = census(1, Vec::new(), Vec::new());
    let all = All::default();
    let mut families = super::families::of_the_watch(&crate::analyse::alarm::tests::start());
    families.extend(super::families::of_the_census(&census, &all.listeners));
    families.extend(all.listeners.families());
    families.extend(super::Incidents::default().families());
    assert_eq!(families.len(), 25);
    for family in families {
        let end = match family.metric {
            Metric::Counter => "_total",
            Metric::Info => "_info",
            Metric::Gauge | Metric::Histogram => "",
        };
        let name = format!("`{}{end}`", family.name);
        assert!(page.contains(&name), "{name}");
    }
}
