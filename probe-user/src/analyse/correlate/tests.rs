//! Attempts told event by event: the story, its outcome, and what memory lets go of.

use proptest::prelude::*;

use super::*;
use crate::model::{
    kind::Stage,
    outcome::End,
    story::{Totals, Whose},
};

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

fn attempt(client: u16) -> Attempt {
    Attempt {
        netns: 1,
        client: ([10, 0, 0, 7], client).into(),
        local: ([10, 0, 0, 1], 80).into(),
    }
}

fn news(mono_ns: u64, client: u16, what: What) -> News {
    News {
        mono_ns,
        attempt: attempt(client),
        what,
        cause: "overflow/accept-queue-full".into(),
        listener: None,
        whose: Whose::default(),
        shown: true,
    }
}

const fn refused(stage: Stage) -> What {
    What::Refused {
        stage,
        isn: 1000,
        aborted: false,
    }
}

const SYN: What = refused(Stage::Syn);
const ACK: What = refused(Stage::Ack);
const COOKIE_ACK: What = refused(Stage::CookieAck);

const SAME: Isn = Isn::Exact(1000);
const COOKIE_SENT: What = What::CookieSent(SAME);
const SYNACK_AGAIN: What = What::SynackAgain(SAME);
const EXPIRED: What = What::Expired(SAME);
const RESET: What = What::Reset(End::Client, Isn::Near(1000));

const fn connected(first_ns: u64, times: u32) -> What {
    What::Connected {
        isn: 1000,
        first_ns,
        times,
    }
}

/// What happens to one attempt, then silence until `end_ns`: all outcomes that are told, the last one at the end.
fn check(events: &[(u64, What)], end_ns: u64, expect: &[&str]) -> Totals {
    let mut stories = Stories::default();
    let mut told = Vec::new();
    for (mono_ns, what) in events {
        told.extend(stories.take(news(*mono_ns, 5000, *what)));
        told.extend(stories.tick(*mono_ns + WINDOW_NS));
    }
    let mut now = events.last().map_or(0, |(ns, _)| *ns);
    while now < end_ns {
        now += S;
        told.extend(stories.tick(now));
    }
    let (last, totals) = stories.end(end_ns);
    told.extend(last);
    let names: Vec<&str> = told.iter().map(|story| story.outcome.name()).collect();
    assert_eq!(names, expect, "{events:?}");
    totals
}

#[test]
fn a_retry_that_makes_it() {
    let totals = check(
        &[(S, SYN), (2 * S, SYN), (4 * S, connected(S, 2))],
        5 * S,
        &["connected-late"],
    );
    assert_eq!(totals.outcomes, BTreeMap::from([("connected-late", 1)]));
    assert_eq!(totals.delays.max_ns(), 3 * S);
    assert!(
        totals
            .delays
            .percentile(50)
            .is_some_and(|ns| ns > 29 * S / 10)
    );
}

#[test]
fn an_ack_that_makes_it_and_one_that_does_not() {
    check(
        &[(S, ACK), (2 * S, connected(S, 1))],
        3 * S,
        &["connected-late"],
    );
    check(&[(S, ACK), (64 * S, EXPIRED)], 65 * S, &["ghost"]);
    check(&[(S, ACK)], 60 * S, &["still-trying"]);
    check(&[(S, ACK)], 200 * S, &["unknown"]);
}

#[test]
fn a_ghost_may_be_connected_after_all() {
    check(
        &[(S, COOKIE_ACK), (2 * S, connected(S, 1))],
        3 * S,
        &["ghost", "connected-late"],
    );
}

#[test]
fn who_has_connected_is_connected() {
    check(
        &[
            (S, SYN),
            (2 * S, connected(S, 1)),
            (3 * S, RESET),
            (4 * S, SYNACK_AGAIN),
        ],
        5 * S,
        &["connected-late"],
    );
}

#[test]
fn resets_tell_who_ended_it() {
    check(&[(S, ACK), (2 * S, RESET)], 3 * S, &["reset"]);
    let aborted = What::Refused {
        stage: Stage::Ack,
        isn: 1000,
        aborted: true,
    };
    check(&[(S, aborted)], 3 * S, &["reset"]);
}

#[test]
fn silence_is_judged_by_the_schedule() {
    // 1, 2, 4, 8, 16 s: after six SYNs the next is due 32 s later.
    let six: Vec<(u64, What)> = [1, 2, 4, 8, 16, 32].map(|s| (s * S, SYN)).into();
    check(&six, 60 * S, &["still-trying"]);
    check(&six, 70 * S, &["gave-up"]);
    check(&six[..2], 100 * S, &["still-trying"]);
    check(&six[..2], 140 * S, &["gave-up"]);
}

#[test]
fn silence_can_be_broken() {
    check(
        &[(S, SYN), (200 * S, SYNACK_AGAIN), (201 * S, SYN)],
        202 * S,
        &["still-trying"],
    );
    let mut stories = Stories::default();
    stories.take(news(S, 5000, SYN));
    assert_eq!(stories.tick(200 * S).len(), 1);
    stories.take(news(201 * S, 5000, SYN));
    let told = stories.settle(202 * S);
    assert_eq!(told[0].outcome, Outcome::StillTrying);
}

#[test]
fn another_number_is_another_attempt() {
    let other = What::Refused {
        stage: Stage::Syn,
        isn: 90_000,
        aborted: false,
    };
    let totals = check(
        &[(S, SYN), (9 * S, other)],
        10 * S,
        &["gave-up", "still-trying"],
    );
    assert_eq!(totals.stories(), 2);
}

/// Whatever happens to an attempt from the same port that was not refused.
#[test]
fn what_happens_to_another_attempt_is_none_of_this_one() {
    let all = |isn| {
        [
            What::CookieSent(isn),
            What::SynackAgain(isn),
            What::Expired(isn),
            What::Reset(End::Client, isn),
            What::Reset(End::Server, isn),
        ]
    };
    for isn in [Isn::Exact(1001), Isn::Near(90_000), Isn::Unknown] {
        for what in all(isn) {
            check(&[(S, SYN), (2 * S, what)], 3 * S, &["still-trying"]);
            // Nor is the next refusal of this one that of a third.
            let totals = check(
                &[
                    (S, SYN),
                    (2 * S, what),
                    (3 * S, SYN),
                    (4 * S, connected(S, 2)),
                ],
                5 * S,
                &["connected-late"],
            );
            assert_eq!(totals.stories(), 1, "{what:?}");
        }
    }
}

#[test]
fn nothing_begins_without_a_refusal() {
    let totals = check(
        &[(S, SYNACK_AGAIN), (2 * S, RESET), (3 * S, COOKIE_SENT)],
        5 * S,
        &[],
    );
    assert_eq!(totals.stories(), 0);
}

#[test]
fn a_connection_tells_of_refusals_that_were_left_out() {
    let totals = check(&[(9 * S, connected(2 * S, 3))], 10 * S, &["connected-late"]);
    assert_eq!(totals.delays.max_ns(), 7 * S);
}

#[test]
fn what_may_have_been_missed_is_not_guessed() {
    let mut stories = Stories::default();
    stories.take(news(S, 5000, SYN));
    stories.take(news(S, 5001, SYN));
    stories.missed(Why::Sampled, 7, 2 * S);
    // Of the second one there is news again.
    stories.take(news(3 * S, 5001, SYN));
    assert!(stories.tick(4 * S).is_empty());
    let (told, totals) = stories.end(5 * S);
    let outcomes: Vec<Outcome> = told.iter().map(|story| story.outcome).collect();
    let unknown = Outcome::Unknown { why: Why::Sampled };
    assert_eq!(outcomes, [unknown, Outcome::StillTrying]);
    assert_eq!(totals.sampled, 7);
}

#[test]
fn what_has_no_line_has_no_story() {
    let mut stories = Stories::default();
    let hidden = News {
        shown: false,
        ..news(S, 5000, COOKIE_ACK)
    };
    stories.take(hidden);
    assert!(stories.tick(2 * S).is_empty());
    let (told, totals) = stories.end(3 * S);
    assert!(told.is_empty());
    assert_eq!(totals.stories(), 0);
}

#[test]
fn the_oldest_are_let_go_the_finished_first() {
    let mut stories = Stories::default();
    let at_most = STORIES_AT_MOST as u16;
    for client in 0..at_most {
        let what = if client == 100 { COOKIE_ACK } else { SYN };
        stories.take(news(S + u64::from(client), client, what));
    }
    assert_eq!(stories.settle(2 * S).len(), 1);
    stories.take(news(3 * S, at_most, SYN));
    let told = stories.settle(4 * S);
    assert_eq!(told.len(), LET_GO - 1);
    assert!(stories.stories.len() <= STORIES_AT_MOST);
    assert!(!stories.stories.contains_key(&attempt(100)));
    assert!(!stories.stories.contains_key(&attempt(0)));
    assert!(stories.stories.contains_key(&attempt(at_most)));
    let (_, totals) = stories.end(5 * S);
    assert_eq!(totals.let_go, LET_GO as u64 - 1);
    assert_eq!(totals.stories(), u64::from(at_most) + 1);
}

fn any_isn() -> impl Strategy<Value = Isn> {
    prop_oneof![
        Just(SAME),
        Just(Isn::Exact(1001)),
        Just(Isn::Near(1001)),
        Just(Isn::Near(90_000)),
        Just(Isn::Unknown),
    ]
}

fn any_what() -> impl Strategy<Value = What> {
    let isn = prop_oneof![Just(1000), Just(1001), Just(90_000)];
    let stage = prop_oneof![
        Just(Stage::Syn),
        Just(Stage::Ack),
        Just(Stage::CookieAck),
        Just(Stage::Icmp),
    ];
    prop_oneof![
        (stage, isn.clone(), any::<bool>()).prop_map(|(stage, isn, aborted)| What::Refused {
            stage,
            isn,
            aborted
        }),
        any_isn().prop_map(What::CookieSent),
        any_isn().prop_map(What::SynackAgain),
        any_isn().prop_map(What::Expired),
        any_isn().prop_map(|isn| What::Reset(End::Client, isn)),
        isn.prop_map(|isn| What::Connected {
            isn,
            first_ns: S,
            times: 3
        }),
    ]
}

/// Everything that can be seen of the stories.
fn seen(events: &[News]) -> String {
    let mut stories = Stories::default();
    for news in events {
        assert!(stories.take(news.clone()).is_empty());
    }
    let told = stories.settle(S + 2 * WINDOW_NS);
    let (last, totals) = stories.end(10 * S);
    format!("{told:?} {last:?} {totals:?}")
}

proptest! {
    #[test]
    fn order_within_the_window_makes_no_difference(
        (events, shuffled) in proptest::collection::vec((0..WINDOW_NS / MS, 0..3_u16, any_what()), 0..40)
            .prop_map(|events| events
                .into_iter()
                .map(|(at, client, what)| news(S + at * MS, client, what))
                .collect::<Vec<_>>())
            .prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle()))
    ) {
        prop_assert_eq!(seen(&events), seen(&shuffled));
    }

    #[test]
    fn every_story_has_one_outcome(
        events in proptest::collection::vec((0..300_u64, 0..3_u16, any_what()), 0..60)
    ) {
        let mut stories = Stories::default();
        let mut now = 0;
        for (at, client, what) in events {
            now += at * S / 10;
            stories.take(news(now, client, what));
            stories.tick(now);
        }
        let (_, totals) = stories.end(now);
        let connected = totals.outcomes.get("connected-late").copied().unwrap_or(0);
        prop_assert_eq!(totals.delays.percentile(50).is_some(), connected > 0);
    }
}
