//! Begin, update and end, at times that are made up.

use std::{net::SocketAddr, sync::Arc};

use super::*;
use crate::model::{
    Asked, Clock, ObservedQueue, Sampled, SelfTest,
    cause::Cause,
    event::{Event, ListenerAt},
    kind::{Kind, Stage},
    owner::Owner,
    socket::ListenerSnapshot,
    tier::Tier,
};

const NETNS: u32 = 7;
const S: u64 = 1_000_000_000;
const BEGAN: u64 = 100 * S;

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(in crate::analyse) fn start() -> Start {
    Start {
        tier: Tier::Cgroup,
        hooks: Vec::new(),
        absent: Vec::new(),
        self_test: SelfTest::Skipped("a test".into()),
        kernel: "6.18.0".into(),
        filters: Vec::new(),
        listeners: 1,
        namespaces: 1,
        blind: Vec::new(),
        own_netns: NETNS,
        mono_ns: BEGAN,
        clock: Clock::of(0),
        host: "a.example".into(),
        boot_id: None,
        command: Vec::new(),
        asked: Asked::default(),
        observes: true,
        sandbox: None,
        counts_kernel: true,
        reads_all: true,
    }
}

fn alarms() -> Alarms {
    Alarms::of(&start(), None)
}

fn refused(at_ns: u64, bound: &str, client: &str) -> Observation {
    Observation {
        event: Event {
            mono_ns: at_ns,
            kind: Kind::Overflow,
            stage: Some(Stage::Syn),
            client: Some(addr(client)),
            local: Some(addr(bound)),
            netns: NETNS,
            listener: Some(ListenerAt {
                cookie: u64::from(addr(bound).port()),
                addr: addr(bound),
                accept_queue_len: 3,
                accept_queue_limit: 2,
                syn_queue_len: 0,
                syncookies: 1,
                max_syn_backlog: 128,
            }),
            ..Event::sample()
        },
        cause: Some(Cause::certain("accept-queue-full")),
        owner: Arc::from([Owner {
            pid: 9,
            comm: "server".into(),
            exe: None,
        }]),
        ..Observation::sample()
    }
}

fn look(alarms: &mut Alarms, at_ns: u64, bound: &str, len: u32) {
    let seen = Observed::Queue(Box::new(ObservedQueue {
        look: (at_ns / 50_000_000) as u32,
        netns: NETNS,
        snapshot: ListenerSnapshot {
            addr: addr(bound),
            cookie: u64::from(addr(bound).port()),
            accept_queue_len: len,
            accept_queue_limit: 2,
            taken_mono_ns: at_ns,
            ..ListenerSnapshot::sample()
        },
        owners: Arc::from([]),
        owners_in_all: 0,
        polls: Vec::new(),
        accepted: None,
        inherited: Vec::new(),
        holds: Vec::new(),
        served: None,
        half_open: None,
        parents: Vec::new(),
    }));
    alarms.line(at_ns, &Line::Observed(&seen));
}

fn phases(told: &[Alarm]) -> Vec<(u64, Phase, u64)> {
    let told = told.iter();
    told.map(|alarm| (alarm.id, alarm.phase, alarm.drops()))
        .collect()
}

#[test]
fn it_begins_at_once_goes_on_every_ten_seconds_and_ends_after_a_quiet_one() {
    let mut alarms = alarms();
    assert!(!alarms.is_due(u64::MAX - 1));
    let mut told = Vec::new();
    for tenth in 0..=240 {
        let now = BEGAN + tenth * S / 10;
        // A refusal each half second for 21 seconds.
        if tenth % 5 == 0 && tenth <= 210 {
            alarms.event(&refused(now, "10.0.0.1:80", "10.0.0.9:40000"));
        }
        if alarms.is_due(now) {
            let news = alarms.tell(now);
            told.extend(news.into_iter().map(|one| (tenth, one)));
        }
    }
    let got: Vec<_> = told
        .iter()
        .map(|(at, one)| (*at, one.phase, one.drops()))
        .collect();
    let expect = [
        (0, Phase::Begin, 1),
        (100, Phase::Update, 21),
        (200, Phase::Update, 41),
        (221, Phase::End, 43),
    ];
    assert_eq!(got, expect);
    let (_, end) = &told[3];
    assert_eq!((end.start_ns, end.last_ns), (BEGAN, BEGAN + 21 * S));
    assert_eq!(end.listeners[0].owner[0].pid, 9);
    assert_eq!((end.clients, end.clients_exact), (1, true));
    assert_eq!(end.top_clients[0].refusals, 43);
    assert!(!alarms.is_any());
    assert!(!alarms.is_due(u64::MAX - 1));
}

#[test]
fn it_lasts_while_its_queue_stands_full() {
    let mut alarms = alarms();
    alarms.event(&refused(BEGAN, "10.0.0.1:80", "10.0.0.9:40000"));
    assert_eq!(phases(&alarms.tell(BEGAN)), [(1, Phase::Begin, 1)]);
    for tenth in 1..=40 {
        let now = BEGAN + tenth * S / 10;
        look(&mut alarms, now, "10.0.0.1:80", 3);
        assert_eq!(phases(&alarms.tell(now)), [], "{tenth}");
    }
    // A look that comes late is no end.
    let late = BEGAN + 8 * S;
    assert_eq!(phases(&alarms.tell(late)), []);
    look(&mut alarms, late, "10.0.0.1:80", 3);
    // Emptied: looks go on, and say so.
    for tenth in 81..=90 {
        let now = BEGAN + tenth * S / 10;
        look(&mut alarms, now, "10.0.0.1:80", 0);
        assert_eq!(phases(&alarms.tell(now)), [], "{tenth}");
    }
    let over = BEGAN + 91 * S / 10;
    assert_eq!(phases(&alarms.tell(over)), [(1, Phase::End, 1)]);
}

#[test]
fn two_listeners_have_an_incident_each_and_a_third_comes_later() {
    let mut alarms = alarms();
    alarms.event(&refused(BEGAN, "10.0.0.1:80", "10.0.0.9:40000"));
    alarms.event(&refused(BEGAN, "10.0.0.1:81", "10.0.0.9:40001"));
    alarms.event(&refused(BEGAN + 1, "10.0.0.1:81", "10.0.0.9:40002"));
    let begun = alarms.tell(BEGAN + 2);
    assert_eq!(phases(&begun), [(1, Phase::Begin, 1), (2, Phase::Begin, 2)]);
    alarms.event(&refused(BEGAN + S, "10.0.0.1:82", "10.0.0.9:40003"));
    let told = alarms.tell(BEGAN + S + S / 2);
    assert_eq!(
        phases(&told),
        [(1, Phase::End, 1), (2, Phase::End, 2), (3, Phase::Begin, 1)]
    );
    let cut = alarms.end(BEGAN + S + S / 2);
    assert_eq!(phases(&cut), [(3, Phase::Cut, 1)]);
}

#[test]
fn what_was_left_out_of_the_lines_counts_and_what_was_lost_is_said() {
    let mut alarms = alarms();
    alarms.event(&refused(BEGAN, "10.0.0.1:80", "10.0.0.9:40000"));
    alarms.tell(BEGAN);
    let sampled = Sampled {
        netns: NETNS,
        netns_name: None,
        listener: Some(addr("10.0.0.1:80")),
        cookie: 80,
        kind: Kind::Overflow,
        stage: Some(Stage::Syn),
        cause: Some(Cause::certain("accept-queue-full")),
        count: 4000,
        clients: 30,
        clients_exact: false,
    };
    alarms.line(BEGAN + S / 2, &Line::Sampled(&sampled));
    let loss = crate::model::Loss {
        ring_full: 5,
        ..Default::default()
    };
    alarms.line(BEGAN + S / 2, &Line::Loss(&loss));
    let told = alarms.tell(BEGAN + 2 * S);
    assert_eq!(phases(&told), [(1, Phase::End, 4001)]);
    assert_eq!(told[0].causes["overflow/accept-queue-full"], 4001);
    assert!(told[0].at_least && !told[0].clients_exact);
    assert!(
        told[0].doubts[0].contains("5 lines were lost"),
        "{:?}",
        told[0].doubts
    );
}

#[test]
fn without_a_look_nobody_says_why() {
    let mut alarms = alarms();
    for nth in 0..20 {
        let at = BEGAN + nth * S / 10;
        alarms.event(&refused(at, "10.0.0.1:80", "10.0.0.9:40000"));
    }
    alarms.tell(BEGAN + 2 * S);
    let told = alarms.tell(BEGAN + 4 * S);
    assert_eq!(phases(&told), [(1, Phase::End, 20)]);
    let ids: Vec<&str> = told[0].verdicts.iter().map(|one| &*one.id).collect();
    assert_eq!(ids, ["undetermined"]);
    assert!(
        told[0]
            .doubts
            .iter()
            .any(|one| one.contains("nobody looked")),
        "{:?}",
        told[0].doubts
    );
}

#[test]
fn there_is_room_for_so_many_and_the_others_are_counted() {
    let mut alarms = alarms();
    let ports = INCIDENTS_AT_MOST as u16 + 10;
    for port in 1..=ports {
        for nth in 0..3 {
            let bound = format!("10.0.0.1:{port}");
            alarms.event(&refused(BEGAN + nth, &bound, "10.0.0.9:40000"));
        }
    }
    let told = alarms.tell(BEGAN);
    assert_eq!(told.len(), INCIDENTS_AT_MOST);
    let untold: u64 = told.iter().map(|one| one.untold).sum();
    assert_eq!(untold, 10);
}

#[test]
fn a_flood_is_counted_to_the_last_and_looked_at_in_part() {
    let mut alarms = alarms();
    for nth in 0..200_000_u64 {
        let client = format!("10.{}.{}.9:4{:03}", nth / 250 % 250, nth % 250, nth % 997);
        alarms.event(&refused(BEGAN + nth * 10_000, "10.0.0.1:80", &client));
    }
    let told = alarms.end(BEGAN + 3 * S);
    let last = told.last().expect("an incident");
    assert_eq!(last.drops(), 200_000);
    assert!(!last.clients_exact && last.clients >= 4096);
    assert!(alarms.closely < 3000, "{}", alarms.closely);
}

#[test]
fn one_that_lasts_for_minutes_is_analysed_afresh_and_counted_on() {
    let mut alarms = alarms();
    let mut told = Vec::new();
    for half in 0..=400 {
        let now = BEGAN + half * S / 2;
        alarms.event(&refused(now, "10.0.0.1:80", "10.0.0.9:40000"));
        told.extend(alarms.tell(now));
    }
    let last = told.last().expect("an update");
    assert_eq!((last.phase, last.drops()), (Phase::Update, 401));
    assert!(alarms.closely < 200, "{}", alarms.closely);
    assert_eq!(told.len(), 21);
    assert!(told[1..].iter().all(|one| !one.verdicts.is_empty()));
}
