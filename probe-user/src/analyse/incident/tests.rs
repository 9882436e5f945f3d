//! Drops in time, and the incidents made of them.

use proptest::prelude::*;

use super::*;
use crate::model::ThreadState;
use crate::model::incident::{Fact, Gap, Incident, Place, Rates, Row, Told, What};

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

/// Of the rows.
const EVERY_NS: u64 = 100 * MS;

const LIMIT: u32 = 8;

fn place(port: u16) -> Place {
    Place {
        netns: 1,
        addr: ([10, 0, 0, 1], port).into(),
    }
}

fn fact(at_ms: u64, cookie: u64, what: What) -> Fact {
    Fact {
        mono_ns: 10 * S + at_ms * MS,
        place: place(80),
        cookie,
        what,
    }
}

fn drop_of(client: u8) -> What {
    What::Drop {
        cause: "overflow/accept-queue-full".into(),
        client: Some([10, 0, 0, client].into()),
        queue: (LIMIT + 1, LIMIT),
    }
}

fn row(accepted: Option<u64>, is_counted: bool, queued: u32) -> What {
    What::Row(Row {
        accepted,
        is_counted,
        queued: Some(queued),
        limit: LIMIT,
    })
}

fn look(len: u32) -> What {
    What::Look {
        queue: (len, LIMIT),
        doing: [(ThreadState::Stopped, u32::from(len > LIMIT))].into(),
    }
}

/// What comes of facts of one listener in a watch from 0 s to 10 s.
fn told(facts: &[(u64, What)]) -> Told {
    let facts = facts.iter().map(|(at_ms, what)| (*at_ms, 5, what.clone()));
    told_of_group(facts)
}

fn told_of_group(facts: impl IntoIterator<Item = (u64, u64, What)>) -> Told {
    let mut incidents = Incidents::default();
    incidents.begin(10 * S, Some(EVERY_NS));
    for (at_ms, cookie, what) in facts {
        incidents.take(fact(at_ms, cookie, what));
    }
    incidents.told(10 * S)
}

fn only(told: &Told) -> &Incident {
    let [incident] = &told.incidents[..] else {
        panic!("{} incidents: {told:?}", told.incidents.len());
    };
    incident
}

/// Start, end (in ms) and drops of each.
fn check(facts: &[(u64, What)], expect: &[(u64, u64, u64)]) {
    let told = told(facts);
    let ms = |ns: u64| (ns - 10 * S) / MS;
    let found: Vec<(u64, u64, u64)> = told
        .incidents
        .iter()
        .map(|one| (ms(one.start_ns), ms(one.end_ns), one.drops()))
        .collect();
    assert_eq!(found, expect, "{facts:?}");
}

#[test]
fn drops_that_are_close_are_one_incident() {
    check(&[(5, drop_of(1))], &[(5, 5, 1)]);
    check(&[(5, drop_of(1)), (1005, drop_of(1))], &[(5, 1005, 2)]);
    check(
        &[(5, drop_of(1)), (1006, drop_of(1)), (2000, drop_of(2))],
        &[(5, 5, 1), (1006, 2000, 2)],
    );
    check(&[(5, look(LIMIT + 1))], &[]);
    check(&[(5, row(Some(3), true, 3))], &[]);
}

#[test]
fn a_queue_that_stays_full_joins_drops() {
    let full = (0..30).map(|n| (n * 100, look(LIMIT + 1)));
    let drops = [(5, drop_of(1)), (2900, drop_of(1))];
    check(&full.chain(drops).collect::<Vec<_>>(), &[(5, 2900, 2)]);
    let not_full = (0..30).map(|n| (n * 100, look(LIMIT)));
    let drops = [(5, drop_of(1)), (2900, drop_of(1))];
    let facts: Vec<_> = not_full.chain(drops).collect();
    check(&facts, &[(5, 5, 1), (2900, 2900, 1)]);
}

#[test]
fn what_had_no_line_counts_and_the_end_is_open() {
    let left_out = |n, clients_known| What::LeftOut {
        cause: "overflow/accept-queue-full".into(),
        n,
        clients_known,
    };
    let facts = [
        (5, drop_of(1)),
        (1100, left_out(40, true)),
        (2100, left_out(2, true)),
        (2100, drop_of(1)),
    ];
    check(&facts, &[(5, 2100, 44)]);
    let known = told(&facts);
    assert!(only(&known).clients_exact && !only(&known).is_end_exact);
    let facts = [(5, drop_of(1)), (900, left_out(40, false))];
    assert!(!only(&told(&facts)).clients_exact);
    check(&[(900, left_out(40, false))], &[(900, 900, 40)]);
}

#[test]
fn ports_are_no_clients_and_causes_are_counted() {
    let other = What::Drop {
        cause: "listen-drop/memory".into(),
        client: Some([10, 0, 0, 1].into()),
        queue: (0, LIMIT),
    };
    let told = told(&[
        (5, drop_of(1)),
        (6, drop_of(1)),
        (7, drop_of(2)),
        (8, other),
    ]);
    let incident = only(&told);
    assert_eq!((incident.clients, incident.clients_exact), (2, true));
    let causes: Vec<u64> = incident.causes.values().copied().collect();
    assert_eq!(causes, [1, 3]);
}

/// An application that accepts one connection each 50 ms, but for a pause.
fn pausing(pause_ms: std::ops::Range<u64>, is_counted: bool) -> Vec<(u64, What)> {
    let mut facts = Vec::new();
    let (mut accepted, mut queued) = (0, 0);
    for at_ms in (0..3000).step_by(50) {
        if pause_ms.contains(&at_ms) {
            queued = (queued + 3).min(LIMIT + 1);
        } else {
            accepted += 1 + u64::from(queued);
            queued = 0;
        }
        if at_ms % 100 == 0 && !pause_ms.contains(&at_ms) {
            facts.push((at_ms + 1, row(Some(accepted), is_counted, queued)));
        }
        facts.push((at_ms, look(queued)));
        if queued > LIMIT {
            facts.push((at_ms + 2, drop_of(1)));
        }
    }
    facts
}

#[test]
fn a_pause_is_as_long_as_it_was() {
    for is_counted in [true, false] {
        let told = told(&pausing(1000..1400, is_counted));
        let incident = only(&told);
        let gap = incident.stalled().expect("a pause");
        assert!(gap.ns().abs_diff(400 * MS) <= EVERY_NS, "{gap:?}");
        assert!(!gap.at_least, "{gap:?}");
        assert_eq!(incident.precision_ns, EVERY_NS);
        assert_eq!(incident.doing[&ThreadState::Stopped], 6);
        let Rates {
            before,
            during,
            after,
        } = incident.accepted;
        assert_eq!(during, Some(0.0));
        assert!(before.is_some_and(|n| (15.0..21.0).contains(&n)));
        assert!(after.is_some_and(|n| (15.0..35.0).contains(&n)));
    }
}

/// Where no hook sees accepts, an empty queue is what tells of them: no row comes.
#[test]
fn a_queue_that_is_emptied_was_accepted() {
    let mut facts = vec![
        (20, row(Some(1), false, 0)),
        (90, row(Some(1), false, LIMIT + 1)),
        (100, drop_of(1)),
    ];
    facts.extend((2..14).map(|n| (n * 50, look(LIMIT + 1))));
    facts.extend((14..40).map(|n| (n * 50, look(0))));
    let told = told(&facts);
    let gap = only(&told).stalled().expect("a pause");
    assert_eq!((gap.ns(), gap.at_least), (610 * MS, false));
    assert_eq!(only(&told).accepted.after, Some(f64::from(LIMIT + 1)));
}

#[test]
fn a_row_is_told_a_moment_later() {
    let mut facts = vec![(100, drop_of(1)), (180, row(Some(1), true, 9))];
    facts.extend((2..14).map(|n| (n * 50, look(LIMIT + 1))));
    facts.push((780, row(Some(10), true, 0)));
    let told = told(&facts);
    let gap = only(&told).stalled().expect("a pause");
    assert_eq!((gap.ns(), gap.at_least), (600 * MS, false));
}

/// What a row misses, since the queue is read after what was established, and the next one finds.
#[test]
fn who_is_found_again_was_not_accepted() {
    let rows = [(100, 20, 0), (200, 19, 9), (300, 20, 18), (400, 21, 27)];
    let mut facts: Vec<_> = rows
        .map(|(at, accepted, queued)| (at, row(Some(accepted), false, queued)))
        .into();
    // At last somebody comes and is accepted.
    facts.extend([(450, drop_of(1)), (600, row(Some(30), false, 0))]);
    let told = told(&facts);
    let gap = only(&told).stalled().expect("a pause");
    assert_eq!(gap.ns(), 400 * MS, "{gap:?}");
}

#[test]
fn a_pause_that_does_not_end_was_at_least_so_long() {
    let told = told(&pausing(1000..3000, true));
    let gap = only(&told).stalled().expect("a pause");
    assert!(gap.at_least && gap.ns().abs_diff(2 * S) <= EVERY_NS);
    assert_eq!(only(&told).accepted.after.map(|n| n as u64), Some(0));
}

/// The hooks are attached after the first looks, and what waits at the end is taken after it.
#[test]
fn a_pause_is_no_longer_than_the_watch() {
    let told = |began_ms: u64, lasted_ms: u64| {
        let mut incidents = Incidents::default();
        incidents.begin(10 * S + began_ms * MS, Some(EVERY_NS));
        for at_ms in (0..4600).step_by(50) {
            incidents.take(fact(at_ms, 5, look(LIMIT + 1)));
        }
        incidents.take(fact(2000, 5, drop_of(1)));
        let told = incidents.told(lasted_ms * MS);
        let gap = only(&told).stalled().expect("a pause");
        (gap.from_ns / MS, gap.ns() / MS, gap.at_least)
    };
    assert_eq!(told(300, 4000), (10_300, 4000, true));
    assert_eq!(told(0, 4000), (10_000, 4000, true));
    assert_eq!(told(0, 9000), (10_000, 4550, true));
}

#[test]
fn who_has_nothing_to_accept_does_not_pause() {
    // Nobody comes for two seconds, then more than the queue takes, at once.
    let facts = [
        (100, row(Some(1), true, 0)),
        (2000, drop_of(1)),
        (2001, drop_of(2)),
        (2100, row(Some(9), true, 0)),
    ];
    let burst = told(&facts);
    assert_eq!(only(&burst).stalled(), None);
    assert_eq!(only(&burst).gap.map(Gap::ns), Some(100 * MS));
}

#[test]
fn what_cannot_be_known_is_not_none() {
    let unknown = told(&[(100, row(None, false, 3)), (1500, drop_of(1))]);
    assert_eq!(only(&unknown).gap, None);
    assert_eq!(only(&unknown).accepted, Rates::default());
    // A moment is too short for a rate, and so is the rest of the watch.
    let short = told(&[(100, drop_of(1)), (150, drop_of(1)), (9900, look(0))]);
    assert_eq!(only(&short).accepted.before, None);
    assert_eq!(only(&short).accepted.during, None);
    assert_eq!(only(&short).accepted.after, Some(0.0));
}

#[test]
fn looks_that_came_late_make_it_less_precise() {
    let facts = [
        (1000, look(LIMIT + 1)),
        (1100, drop_of(1)),
        (1350, look(LIMIT + 1)),
        (1400, drop_of(1)),
    ];
    assert_eq!(only(&told(&facts)).precision_ns, 350 * MS);
}

#[test]
fn the_curve_goes_up_and_down_in_a_few_steps() {
    let paused = told(&pausing(1000..1400, true));
    let incident = only(&paused);
    let lens: Vec<u32> = incident.depth.iter().map(|depth| depth.len).collect();
    assert!(incident.depth.len() <= 24);
    let peak = lens.iter().position(|len| *len == LIMIT + 1);
    assert!(lens.first() == Some(&0) && lens.last() == Some(&0) && peak.is_some());
    let long = told(&pausing(200..2900, true));
    assert!(only(&long).depth.len() <= 24);
}

#[test]
fn one_stuck_member_of_a_group_is_told() {
    let stuck = [(0, look(1)), (100, row(Some(1), true, 1))];
    let stuck = stuck.into_iter().chain((2..20).map(|n| (n * 50, look(9))));
    let stuck = stuck.chain([(500, drop_of(1))]).map(|(at, w)| (at, 5, w));
    let sound = (1..10).map(|n| (n * 100, 6, row(Some(n), true, 0)));
    let group = told_of_group(stuck.chain(sound));
    let incident = only(&group);
    assert_eq!(incident.listeners, [(5, 1)].into());
    assert!(incident.stalled().is_some_and(|gap| gap.ns() > 800 * MS));
    // One and five in half a second.
    assert_eq!(incident.accepted.before, Some(12.0));
}

#[test]
fn without_rows_nobody_knows_what_was_accepted() {
    let mut incidents = Incidents::default();
    incidents.begin(10 * S, None);
    for n in 0..20 {
        incidents.take(fact(n * 50, 5, look(9)));
    }
    incidents.take(fact(500, 5, drop_of(1)));
    let told = incidents.told(10 * S);
    let incident = only(&told);
    assert_eq!((incident.gap, incident.accepted), (None, Rates::default()));
}

#[test]
fn a_long_incident_gets_coarser_and_the_oldest_is_let_go() {
    let mut incidents = Incidents::default();
    let n = 100_000;
    for at in 0..n {
        incidents.take(fact(at * 50, 5, drop_of(1)));
    }
    let told = incidents.told(u64::MAX);
    let kept: u64 = told.incidents.iter().map(Incident::drops).sum();
    assert_eq!(kept + told.let_go, n);
    assert!(told.let_go > 0 && kept > n / 4, "{kept} of {n}");
    assert!(incidents.places[&place(80)].len() <= 4096);
    assert_eq!(told.incidents.len(), 1);
}

#[test]
fn quiet_listeners_and_places_make_room() {
    let mut incidents = Incidents::default();
    for at in 0..20_000 {
        incidents.take(fact(at * 50, 5, look(1)));
    }
    incidents.take(fact(1_000_000, 5, drop_of(1)));
    for port in 1000..1000 + PLACES_AT_MOST as u16 {
        incidents.take(Fact {
            place: place(port),
            ..fact(2_000_000, 5, drop_of(1))
        });
    }
    let told = incidents.told(u64::MAX);
    assert_eq!(told.let_go, 1, "all others are places with drops too");
    assert_eq!(told.incidents.len(), PLACES_AT_MOST);
    let lens: Vec<u32> = told.incidents[0].depth.iter().map(|d| d.len).collect();
    assert_eq!(
        lens,
        [1; 10].iter().chain(&[9]).copied().collect::<Vec<_>>()
    );
}

fn any_what() -> impl Strategy<Value = What> {
    prop_oneof![
        (0..3_u8).prop_map(drop_of),
        (1..9_u64, any::<bool>()).prop_map(|(n, clients_known)| What::LeftOut {
            cause: "overflow/accept-queue-full".into(),
            n,
            clients_known
        }),
        (proptest::option::of(0..9_u64), any::<bool>(), 0..12_u32)
            .prop_map(|(accepted, is_counted, queued)| row(accepted, is_counted, queued)),
        (0..12_u32).prop_map(look),
    ]
}

fn any_facts(n: usize) -> impl Strategy<Value = Vec<(u64, u64, What)>> {
    proptest::collection::vec((0..10_000_u64, 0..3_u64, any_what()), 0..n)
}

proptest! {
    #[test]
    fn order_makes_no_difference(
        (facts, shuffled) in any_facts(60)
            .prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle()))
    ) {
        prop_assert_eq!(told_of_group(facts).incidents, told_of_group(shuffled).incidents);
    }

    #[test]
    fn every_drop_is_in_one_incident(facts in any_facts(200)) {
        let drops: u64 = facts.iter().map(|(_, _, what)| what.drops()).sum();
        let told = told_of_group(facts);
        prop_assert_eq!(told.incidents.iter().map(Incident::drops).sum::<u64>(), drops);
        for incident in &told.incidents {
            prop_assert!(incident.start_ns <= incident.end_ns);
            prop_assert_eq!(incident.listeners.values().sum::<u64>(), incident.drops());
            prop_assert!(incident.drops() > 0 && incident.depth.len() <= 24);
            prop_assert!(incident.gap.is_none_or(|gap| gap.from_ns <= gap.to_ns));
        }
        for pair in told.incidents.windows(2) {
            prop_assert!(pair[0].end_ns + CLOSE_NS < pair[1].start_ns);
        }
    }
}
