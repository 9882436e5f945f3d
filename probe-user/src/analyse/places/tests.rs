//! What is said of one place is said of no other.

use std::{net::SocketAddr, sync::Arc};

use super::*;
use crate::{
    analyse::{beside::Beside, judge::tests::summary},
    model::{
        Counts, ListenerStatsRow, ListenerTally, Summary,
        cause::Cause,
        event::{Event, ListenerAt},
        incident::Place,
        kind::Stage,
        refusal::Closed,
        socket::ListenerSnapshot,
        tier::Tier,
    },
    model::{Observed, ObservedQueue},
};

const NETNS: u32 = 7;

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn seen(kind: Kind, id: &'static str, netns: u32, local: &str) -> Observation {
    Observation {
        event: Event {
            mono_ns: 1_000,
            kind,
            client: Some(addr("10.0.0.9:40000")),
            local: Some(addr(local)),
            remote: Some(addr("10.0.0.9:40000")),
            netns,
            ..Event::sample()
        },
        cause: Some(Cause::certain(id)),
        ..Observation::sample()
    }
}

fn overflow(netns: u32, cookie: u64, bound: &str) -> Observation {
    let mut seen = seen(Kind::Overflow, "accept-queue-full", netns, bound);
    seen.event.listener = Some(ListenerAt {
        cookie,
        addr: addr(bound),
        accept_queue_len: 3,
        accept_queue_limit: 2,
        syn_queue_len: 0,
        syncookies: 1,
        max_syn_backlog: 128,
    });
    seen
}

fn refused(id: &'static str, netns: u32, local: &str) -> Observation {
    seen(Kind::Refused, id, netns, local)
}

fn tally(netns: u32, cookie: u64, bound: Option<&str>, n: u64) -> ListenerTally {
    ListenerTally {
        cookie,
        netns,
        addr: bound.map(addr),
        owner: Arc::from([]),
        cgroup: None,
        counts: [((Kind::Overflow, Some(Stage::Syn)), n)].into(),
        causes: [((Kind::Overflow, "accept-queue-full".into()), n)].into(),
    }
}

/// A watch in which these listeners refused, and these other things happened.
fn ended(listeners: Vec<ListenerTally>, others: &[(Kind, &str, u64)]) -> Summary {
    let mut all = summary(Tier::Cgroup, Some(0), Some(0));
    for tally in &listeners {
        for (name, n) in &tally.causes {
            *all.causes.entry(name.clone()).or_default() += n;
        }
    }
    for (kind, cause, n) in others {
        *all.causes.entry((*kind, (*cause).to_owned())).or_default() += n;
    }
    let mut counts = Counts::new();
    for ((kind, _), n) in &all.causes {
        *counts.entry((*kind, None)).or_default() += n;
    }
    Summary {
        counts,
        listeners,
        ..all
    }
}

/// A look that found who listens there.
fn look(netns: u32, cookie: u64, bound: &str, queue: (u32, u32)) -> Observed {
    Observed::Queue(Box::new(ObservedQueue {
        look: 1,
        netns,
        snapshot: ListenerSnapshot {
            cookie,
            addr: addr(bound),
            accept_queue_len: queue.0,
            accept_queue_limit: queue.1,
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
    }))
}

fn answers(events: &[Observation], looks: &[Observed], summary: &Summary) -> Answers {
    let mut places = Places::default();
    let mut beside = Beside::default();
    for seen in events {
        places.line(seen.event.mono_ns, &Line::Event(seen));
    }
    for seen in looks {
        beside.line(seen.mono_ns(), &Line::Observed(seen));
    }
    places.answers(Asks {
        beside: &beside,
        summary,
        is_looked: true,
        before: &[],
    })
}

/// Where, how many members, how many refusals, and which verdicts, in their order.
fn found(answers: &Answers) -> Vec<(String, usize, u64, Vec<&'static str>)> {
    let all = answers.all.iter();
    all.map(|one| {
        let place = one.place.map_or("?".to_owned(), |place| {
            format!("{} {}", place.netns, place.addr)
        });
        let verdicts = one.diagnosis.verdicts.iter().map(|verdict| verdict.id);
        (
            place,
            one.members.len(),
            one.signals.refusals,
            verdicts.collect(),
        )
    })
    .collect()
}

#[test]
fn each_listener_of_a_port_has_an_answer_of_its_own() {
    let events = [
        overflow(NETNS, 1, "127.0.0.1:80"),
        overflow(NETNS, 2, "127.0.0.2:80"),
    ];
    let looks = [
        look(NETNS, 1, "127.0.0.1:80", (0, 0)),
        look(NETNS, 2, "127.0.0.2:80", (9, 8)),
        look(NETNS, 3, "127.0.0.3:80", (0, 8)),
    ];
    let all = ended(
        vec![
            tally(NETNS, 1, Some("127.0.0.1:80"), 3),
            tally(NETNS, 2, Some("127.0.0.2:80"), 5),
        ],
        &[],
    );
    let answers = answers(&events, &looks, &all);
    assert_eq!(
        found(&answers),
        [
            ("7 127.0.0.2:80".into(), 1, 5, vec!["undetermined"]),
            ("7 127.0.0.1:80".into(), 1, 3, vec!["backlog-zero"]),
        ]
    );
    assert_eq!(answers.quiet, 1);
    let clients: Vec<usize> = answers.all.iter().map(|one| one.signals.clients).collect();
    assert_eq!((clients, answers.clients), (vec![1, 1], 1));
    // Of five refusals one had a line: whose the others were is not known.
    let worst = &answers.all[0];
    let shares = worst
        .top_clients
        .iter()
        .map(|one| one.share_of(worst.harm()));
    assert_eq!(shares.collect::<Vec<f64>>(), [0.2]);
}

#[test]
fn the_same_address_of_two_namespaces_is_two_places() {
    let events = [overflow(7, 1, "0.0.0.0:80"), overflow(8, 1, "0.0.0.0:80")];
    let all = ended(
        vec![
            tally(7, 1, Some("0.0.0.0:80"), 1),
            tally(8, 1, Some("0.0.0.0:80"), 2),
        ],
        &[],
    );
    let answers = answers(&events, &[look(7, 1, "0.0.0.0:80", (0, 0))], &all);
    assert_eq!(
        found(&answers),
        [
            ("8 0.0.0.0:80".into(), 1, 2, vec!["undetermined"]),
            ("7 0.0.0.0:80".into(), 1, 1, vec!["backlog-zero"]),
        ]
    );
}

#[test]
fn a_group_has_one_answer_and_its_neighbour_another() {
    let looks = [
        look(NETNS, 1, "127.0.0.1:80", (9, 8)),
        look(NETNS, 2, "127.0.0.1:80", (0, 8)),
        look(NETNS, 3, "127.0.0.2:80", (0, 8)),
    ];
    let all = ended(vec![tally(NETNS, 1, Some("127.0.0.1:80"), 5)], &[]);
    let answers = answers(&[overflow(NETNS, 1, "127.0.0.1:80")], &looks, &all);
    let found = found(&answers);
    assert_eq!((found.len(), found[0].1, found[0].2), (1, 2, 5));
    // Of the group, both are judged by; of the neighbour, nobody.
    assert_eq!(answers.all[0].signals.members.len(), 2);
    assert_eq!(answers.quiet, 1);
}

#[test]
fn who_came_where_nobody_listens_is_answered_by_address_and_namespace() {
    let events = [
        refused("no-listener", 7, "127.0.0.1:80"),
        refused("no-listener", 8, "127.0.0.1:80"),
        refused("listener-on-other-address", 7, "127.0.0.2:80"),
    ];
    let looks = [look(7, 1, "127.0.0.3:80", (0, 8))];
    let others = [
        (Kind::Refused, "no-listener", 2),
        (Kind::Refused, "listener-on-other-address", 1),
    ];
    let answers = answers(&events, &looks, &ended(Vec::new(), &others));
    assert_eq!(
        found(&answers),
        [
            ("7 127.0.0.1:80".into(), 0, 0, vec!["no-listener"]),
            ("7 127.0.0.2:80".into(), 0, 0, vec!["listener-elsewhere"]),
            ("8 127.0.0.1:80".into(), 0, 0, vec!["no-listener"]),
        ]
    );
    assert_eq!(answers.quiet, 1);
}

#[test]
fn who_came_between_two_listeners_is_answered_with_them() {
    let mut closed = refused("listener-closed", NETNS, "127.0.0.1:80");
    closed.refusal.closed = Some(Closed {
        mono_ns: 900,
        netns: NETNS,
        addr: addr("0.0.0.0:80"),
        cookie: 1,
        by: None,
        owner: Arc::from([]),
    });
    let events = [closed, refused("not-yet-listening", NETNS, "127.0.0.1:80")];
    let looks = [look(NETNS, 2, "0.0.0.0:80", (0, 8))];
    let others = [
        (Kind::Refused, "listener-closed", 1),
        (Kind::Refused, "not-yet-listening", 1),
    ];
    let answers = answers(&events, &looks, &ended(Vec::new(), &others));
    let expect = ("7 0.0.0.0:80".into(), 1, 0, vec!["listener-restarting"]);
    assert_eq!(found(&answers), [expect]);
}

#[test]
fn a_packet_that_was_dropped_on_its_way_belongs_to_who_would_have_taken_it() {
    let dropped = |local| seen(Kind::PacketDrop, "netfilter-drop", NETNS, local);
    let events = [dropped("127.0.0.1:80"), dropped("10.0.0.1:80")];
    let looks = [
        look(NETNS, 1, "127.0.0.1:80", (0, 8)),
        look(NETNS, 2, "0.0.0.0:80", (0, 8)),
    ];
    let others = [(Kind::PacketDrop, "netfilter-drop", 2)];
    let answers = answers(&events, &looks, &ended(Vec::new(), &others));
    assert_eq!(
        found(&answers),
        [
            ("7 0.0.0.0:80".into(), 1, 0, vec!["rejected-by-firewall"]),
            ("7 127.0.0.1:80".into(), 1, 0, vec!["rejected-by-firewall"]),
        ]
    );
}

#[test]
fn what_nobody_can_place_speaks_for_no_listener() {
    let looks = [look(NETNS, 1, "127.0.0.1:80", (0, 8))];
    let all = ended(vec![tally(NETNS, 9, None, 4)], &[]);
    let answers = answers(&[], &looks, &all);
    let expect = ("?".into(), 1, 4, vec!["undetermined"]);
    assert_eq!(found(&answers), [expect]);
    assert_eq!(answers.quiet, 1);
}

#[test]
fn what_was_left_out_goes_to_the_one_place_where_the_same_happened() {
    let stray = |netns| Sampled {
        netns,
        netns_name: None,
        listener: None,
        cookie: 0,
        kind: Kind::Refused,
        stage: Some(Stage::Syn),
        cause: Some(Cause::certain("no-listener")),
        count: 10,
        clients: 1,
        clients_exact: true,
    };
    let refused_at = |answers: &Answers| -> Vec<(Option<Place>, u64)> {
        let all = answers.all.iter();
        all.map(|one| (one.place, one.signals.of_kind(Kind::Refused)))
            .collect()
    };
    let check = |events: &[Observation], expect: &[(Option<&str>, u64)]| {
        let mut places = Places::default();
        for seen in events {
            places.line(1_000, &Line::Event(seen));
        }
        let stray = stray(NETNS);
        places.line(2_000, &Line::Sampled(&stray));
        let n = events.len() as u64 + 10;
        let summary = ended(Vec::new(), &[(Kind::Refused, "no-listener", n)]);
        let answers = places.answers(Asks {
            beside: &Beside::default(),
            summary: &summary,
            is_looked: true,
            before: &[],
        });
        let expect: Vec<(Option<Place>, u64)> = expect
            .iter()
            .map(|(at, n)| {
                let place = at.map(|at| Place {
                    netns: NETNS,
                    addr: addr(at),
                });
                (place, *n)
            })
            .collect();
        assert_eq!(refused_at(&answers), expect);
    };
    let first = refused("no-listener", NETNS, "127.0.0.1:80");
    let second = refused("no-listener", NETNS, "127.0.0.2:80");
    check(std::slice::from_ref(&first), &[(Some("127.0.0.1:80"), 11)]);
    check(
        &[first, second],
        &[
            (Some("127.0.0.1:80"), 1),
            (Some("127.0.0.2:80"), 1),
            (None, 10),
        ],
    );
}

#[test]
fn what_was_accepted_before_anything_is_known_is_not_known() {
    let mut places = Places::default();
    let row = |accepted| ListenerStatsRow {
        netns: NETNS,
        cookie: 1,
        addr: Some(addr("127.0.0.1:80")),
        accepted: crate::model::Accepted::Counted(accepted),
        ..ListenerStatsRow::default()
    };
    for n in 0..1_000 {
        places.line(n, &Line::Stats(&row(n)));
    }
    let kept: usize = places.told.values().map(|told| told.heard.rows()).sum();
    assert!((1..200).contains(&kept), "{kept} rows are kept");
}

#[test]
fn of_more_places_than_are_remembered_those_go_where_nothing_happened() {
    let mut places = Places::default();
    for n in 0..2 * SPOTS_AT_MOST {
        let row = ListenerStatsRow {
            netns: n as u32,
            addr: Some(addr("127.0.0.1:80")),
            ..ListenerStatsRow::default()
        };
        places.line(0, &Line::Stats(&row));
    }
    assert!(places.told.len() <= SPOTS_AT_MOST);
    for n in 0..=SPOTS_AT_MOST {
        let seen = overflow(n as u32, 1, "127.0.0.1:80");
        places.line(0, &Line::Event(&seen));
    }
    assert_eq!((places.told.len(), places.let_go), (SPOTS_AT_MOST, 1));
}
