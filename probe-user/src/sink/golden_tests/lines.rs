//! A line of each kind, with everything in it that may be, and with as little as may be.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::alarms;
use crate::{
    model::{
        Accepted, Asked, Candidate, Clock, Group, GroupMember, Heartbeat, Histogram, Line,
        ListenerStatsRow, ListenerTally, Loss, Observed, Refusals, Residual, Row, Sampled,
        SelfTest, Start, Summary, Tick, TopClient,
        alarm::Alarm,
        cause::Cause,
        cgroup::Cgroup,
        gone::Others,
        hook::{HookReport, Trial},
        kind::{Kind, Stage},
        netns_name::NetnsName,
        observation::{Observation, Snapshot},
        rows::NoKernel,
        sandbox::{Extent, Sandbox},
        story::{Story, Totals},
        tier::Tier,
    },
    sink::{
        event_tests::{AT_NS, OWN_NETNS, addr, every_kind, owner, snapshot},
        json::every_look,
    },
};

pub(super) const OTHER_NETNS: u32 = 4_026_532_999;

/// What a line is written of.
pub(super) enum Sample {
    Start(Box<Start>),
    Event(Box<Observation>),
    Tick(Tick),
    Loss(Loss),
    Residual(Residual),
    Sampled(Sampled),
    Stats(Box<ListenerStatsRow>),
    Story(Box<Story>),
    Summary(Box<Summary>),
    Observed(Observed),
    Incident(Box<Alarm>),
    Heartbeat(Heartbeat),
    Clock(Clock),
    Ended,
}

impl Sample {
    pub(super) fn line(&self) -> Line<'_> {
        match self {
            Self::Start(start) => Line::Start(start),
            Self::Event(seen) => Line::Event(seen),
            Self::Tick(tick) => Line::Tick(tick),
            Self::Loss(loss) => Line::Loss(loss),
            Self::Residual(residual) => Line::Residual(residual),
            Self::Sampled(sampled) => Line::Sampled(sampled),
            Self::Stats(row) => Line::Stats(row),
            Self::Story(story) => Line::Story(story),
            Self::Summary(summary) => Line::Summary(summary),
            Self::Observed(seen) => Line::Observed(seen),
            Self::Incident(alarm) => Line::Incident(alarm),
            Self::Heartbeat(beat) => Line::Heartbeat(*beat),
            Self::Clock(clock) => Line::Clock(*clock),
            Self::Ended => Line::Ended,
        }
    }
}

pub(super) fn samples() -> Vec<Sample> {
    let mut all: Vec<Sample> = every_kind()
        .into_iter()
        .map(Box::new)
        .map(Sample::Event)
        .collect();
    all.extend(starts().into_iter().map(Box::new).map(Sample::Start));
    all.extend(ticks().map(Sample::Tick));
    all.push(Sample::Loss(Loss {
        ring_full: 12,
        output_full: 3,
        undecodable: 1,
    }));
    let residual = |news| Residual {
        netns: OTHER_NETNS,
        netns_name: (news == 2).then(|| NetnsName::Given("blue".into()).into()),
        counter: "ListenDrops",
        unattributed: 2,
        news,
    };
    all.push(Sample::Residual(residual(2)));
    all.push(Sample::Residual(residual(-1)));
    all.extend(sampled().map(Sample::Sampled));
    all.extend(rows().into_iter().map(Box::new).map(Sample::Stats));
    all.extend(stories().into_iter().map(Box::new).map(Sample::Story));
    let interim = Summary {
        interim: true,
        ..empty()
    };
    all.extend(
        [full(), empty(), interim]
            .map(Box::new)
            .map(Sample::Summary),
    );
    all.extend(every_look().into_iter().map(Sample::Observed));
    all.extend(
        alarms::incidents()
            .into_iter()
            .map(Box::new)
            .map(Sample::Incident),
    );
    all.push(Sample::Heartbeat(Heartbeat { idle_s: 61 }));
    all.push(Sample::Clock(Clock::ahead(1_795_000_000_000_000_007)));
    all.push(Sample::Ended);
    all
}

pub(super) fn cgroup() -> Option<Arc<Cgroup>> {
    Some(Arc::new(Cgroup::of("/system.slice/nginx.service".into())))
}

pub(super) fn given() -> Option<Arc<NetnsName>> {
    Some(NetnsName::Given("blue".into()).into())
}

pub(in crate::sink) fn start() -> Start {
    let trial = |via, refused: Option<&str>| Trial {
        via,
        refused: refused.map(Into::into),
    };
    let attached = HookReport {
        hook: "listener ingress",
        decides: true,
        tier: Some(Tier::Cgroup),
        trials: vec![
            trial("fentry+fexit", Some("no trampolines")),
            trial("cgroup_skb/ingress", None),
        ],
        unseen: None,
    };
    let refused = HookReport {
        hook: "accept",
        decides: false,
        tier: None,
        trials: vec![trial("fexit", Some("no trampolines"))],
        unseen: None,
    };
    Start {
        tier: Tier::Cgroup,
        hooks: vec![attached, refused],
        self_test: SelfTest::Passed { overflows: 3 },
        kernel: "6.18.0".into(),
        absent: vec!["field tcp_sock.syncookies".into()],
        filters: vec!["listener :8080".into()],
        listeners: 21,
        namespaces: 2,
        blind: vec!["accept-wait"],
        own_netns: OWN_NETNS,
        mono_ns: AT_NS,
        clock: Clock::ahead(1_795_000_000_000_000_000),
        host: "a.example".into(),
        boot_id: Some("12345678-1234-4234-8234-123456789abc".into()),
        command: vec!["whydrop".into(), "--listener".into(), ":8080".into()],
        observes: true,
        sandbox: None,
        counts_kernel: true,
        reads_all: true,
        asked: Asked {
            stories: true,
            ..Asked::default()
        },
    }
}

fn starts() -> [Start; 2] {
    let little = Start {
        tier: Tier::Counters,
        hooks: Vec::new(),
        self_test: SelfTest::Skipped("there are no hooks on this tier".into()),
        absent: Vec::new(),
        filters: Vec::new(),
        blind: Vec::new(),
        boot_id: None,
        sandbox: Some(Sandbox {
            extent: Extent::Part,
            capabilities: vec!["CAP_SYS_PTRACE".into()],
            lacks: Some("thread 7 has no filter".into()),
        }),
        ..start()
    };
    [start(), little]
}

fn ticks() -> [Tick; 4] {
    let Snapshot::Listener(listener) = snapshot("0.0.0.0:8080") else {
        unreachable!("a listener's")
    };
    let candidate = Candidate {
        snapshot: listener,
        drops_delta: 4,
        owner: Arc::from([owner(4321, "nginx", Some("/usr/sbin/nginx"))]),
        cgroup: cgroup(),
    };
    let tick = |netns, netns_name, candidates| Tick {
        mono_ns: AT_NS,
        netns,
        netns_name,
        kind: Kind::Overflow,
        count: 4,
        candidates,
        no_candidates: None,
    };
    let unlisted = Tick {
        no_candidates: Some("the listeners could not be listed (EPERM)".into()),
        ..tick(OWN_NETNS, None, Vec::new())
    };
    [
        unlisted,
        tick(OWN_NETNS, None, Vec::new()),
        tick(OTHER_NETNS, given(), vec![candidate.clone()]),
        tick(OWN_NETNS, None, vec![candidate.clone(), candidate]),
    ]
}

fn sampled() -> [Sampled; 2] {
    let of_syn = Sampled {
        netns: OTHER_NETNS,
        netns_name: given(),
        listener: Some(addr("0.0.0.0:8080")),
        cookie: 0x1f,
        kind: Kind::Overflow,
        stage: Some(Stage::Syn),
        cause: Some(Cause::certain("accept-queue-full")),
        count: 41_233,
        clients: 1,
        clients_exact: true,
    };
    let unknown = Sampled {
        netns: OWN_NETNS,
        netns_name: None,
        listener: None,
        cookie: 0,
        kind: Kind::ListenDrop,
        stage: None,
        cause: Some(Cause::among("no-route", &["security-module", "no-memory"])),
        count: 1,
        clients: 12,
        clients_exact: false,
    };
    [of_syn, unknown]
}

pub(super) fn rows() -> [ListenerStatsRow; 3] {
    let mut waits = Histogram::default();
    for ms in 1..=100 {
        waits.add(ms * 1_000_000);
    }
    let busy = ListenerStatsRow {
        netns: OTHER_NETNS,
        netns_name: given(),
        cookie: 0x1f,
        addr: Some(addr("[::]:8080")),
        owner: Arc::from([owner(4321, "nginx", Some("/usr/sbin/nginx"))]),
        cgroup: cgroup(),
        established: 110,
        accepted: Accepted::Counted(100),
        accepted_counted: 100,
        queued: Some(8),
        reset: 2,
        is_closed: false,
        is_mptcp: false,
        accept_queue: (129, 128),
        syn_queue: (12, 128),
        cookies_sent: 1,
        refusals: Some(Refusals {
            kinds: [(Kind::Overflow, 7), (Kind::ListenDrop, 2)].into(),
            causes: [
                ((Kind::Overflow, "accept-queue-full".to_owned()), 7),
                ((Kind::ListenDrop, "child-failed".to_owned()), 2),
            ]
            .into(),
        }),
        waits,
    };
    let derived = ListenerStatsRow {
        accepted: Accepted::Derived(110),
        waits: Histogram::default(),
        queued: Some(0),
        ..busy.clone()
    };
    let unknown = ListenerStatsRow {
        netns: OWN_NETNS,
        cookie: 7,
        is_closed: true,
        ..ListenerStatsRow::default()
    };
    [busy, derived, unknown]
}

/// Their members are their own business, but not how they are recorded.
fn stories() -> Vec<Story> {
    let of = |outcome: serde_json::Value| {
        serde_json::json!({
            "attempt": {"netns": OTHER_NETNS, "client": "10.0.0.7:51234", "local": "192.168.100.200:8080"},
            "first_ns": AT_NS - 2_050_000_000, "last_ns": AT_NS,
            "refusals": {"syn": 2, "ack": 1, "cookie_ack": 0}, "refused": 3,
            "causes": {"overflow/accept-queue-full": 3}, "listener": [31, "0.0.0.0:8080"],
            "whose": {"owner": [{"pid": 4321, "comm": "nginx", "exe": null}], "cgroup": null, "netns_name": {"Given": "blue"}},
            "outcome": outcome, "shown": true, "isn": 1, "is_isn_exact": true, "last_syn_ns": AT_NS, "last_gap_ns": 1,
            "has_acked": false, "has_cookie": false, "told": "still-trying",
        })
    };
    let outcomes = [
        serde_json::json!({"ConnectedLate": {"delay_ns": 2_050_000_000_u64}}),
        serde_json::json!({"GaveUp": {"silent_ns": 130_000_000_000_u64}}),
        serde_json::json!({"Reset": {"by": "Client"}}),
        serde_json::json!("Ghost"),
        serde_json::json!("StillTrying"),
        serde_json::json!({"Unknown": {"why": "Sampled"}}),
    ];
    let told = outcomes.map(|outcome| serde_json::from_value(of(outcome)).expect("a story"));
    let mut all: Vec<Story> = told.into();
    if let Some(last) = all.last_mut() {
        last.listener = None;
        last.whose = Default::default();
    }
    all
}

pub(super) fn totals() -> Totals {
    let mut totals = Totals {
        outcomes: [("connected-late", 3), ("gave-up", 1)].into(),
        let_go: 1,
        sampled: 2,
        lost: 3,
        ..Totals::default()
    };
    totals.delays.add(1_020_000_000);
    totals
}

fn counts() -> BTreeMap<(Kind, Option<Stage>), u64> {
    BTreeMap::from([
        ((Kind::Overflow, Some(Stage::Syn)), 64),
        ((Kind::Overflow, Some(Stage::Ack)), 6),
        ((Kind::ResetSent, None), 3),
    ])
}

fn causes() -> BTreeMap<(Kind, String), u64> {
    BTreeMap::from([
        ((Kind::Overflow, "accept-queue-full".into()), 70),
        ((Kind::ResetSent, "tcp-abort-on-data".into()), 3),
    ])
}

pub(super) fn tally() -> ListenerTally {
    ListenerTally {
        cookie: 0x1f,
        netns: OTHER_NETNS,
        addr: Some(addr("0.0.0.0:8080")),
        owner: Arc::from([owner(4321, "nginx", Some("/usr/sbin/nginx"))]),
        cgroup: cgroup(),
        counts: counts(),
        causes: causes(),
    }
}

/// A summary in which everything is.
pub(super) fn full() -> Summary {
    let row = |counter, kernel: Option<u64>, seen: u64| Row {
        netns: OTHER_NETNS,
        counter,
        kernel,
        no_kernel: kernel.is_none().then_some(NoKernel::NumberReused),
        seen,
        sampled: 1,
        lost: 2,
        unattributed: kernel.map(|kernel| kernel as i64 - seen as i64 - 3),
    };
    let member = |cookie, refusals| GroupMember {
        cookie,
        refusals,
        accept_queue_len: 3,
        accept_queue_limit: 128,
    };
    let unknown = ListenerTally {
        cookie: 7,
        netns: OWN_NETNS,
        addr: None,
        owner: Arc::from([]),
        cgroup: None,
        ..tally()
    };
    let mut full = Summary {
        duration: Duration::from_millis(12_340),
        tier: Tier::Cgroup,
        counts: counts(),
        causes: causes(),
        top_clients: Some(vec![TopClient {
            addr: [10, 0, 0, 1].into(),
            refusals: 70,
        }]),
        listeners: vec![tally(), unknown],
        others: Others {
            listeners: 1500,
            quiet: 40,
            counts: counts(),
            causes: causes(),
            established: 90_000,
            reset: 3,
        },
        stats: rows().into(),
        stories: Some(totals()),
        groups: vec![Group {
            netns: OTHER_NETNS,
            addr: addr("0.0.0.0:8080"),
            members: vec![member(0x1f, 70), member(0x20, 1)],
        }],
        loss: Loss {
            ring_full: 12,
            output_full: 3,
            undecodable: 1,
        },
        health: Default::default(),
        skipped: [("accept".to_owned(), 2)].into(),
        rows: vec![
            row("ListenOverflows", Some(74), 70),
            row("ListenDrops", None, 0),
        ],
        accounted: [OWN_NETNS, OTHER_NETNS].into(),
        netns_names: given()
            .into_iter()
            .map(|name| (OTHER_NETNS, name))
            .collect(),
        unseen: Vec::new(),
        unread: vec!["counters of namespace 7: permission denied".into()],
        moving: true,
        interim: false,
    };
    full.health.counts_full = 4;
    full.health.filtered = 5;
    full
}

/// One of a watch in which nothing happened.
pub(in crate::sink) fn empty() -> Summary {
    Summary {
        duration: Duration::from_secs(1),
        tier: Tier::Trampoline,
        counts: BTreeMap::new(),
        causes: BTreeMap::new(),
        top_clients: Some(Vec::new()),
        listeners: Vec::new(),
        others: Default::default(),
        stats: Vec::new(),
        stories: None,
        groups: Vec::new(),
        loss: Loss::default(),
        health: Default::default(),
        skipped: Default::default(),
        rows: Vec::new(),
        accounted: Default::default(),
        netns_names: Default::default(),
        unseen: vec![Kind::Connected, Kind::NearLimit, Kind::Eased],
        unread: Vec::new(),
        moving: false,
        interim: false,
    }
}
