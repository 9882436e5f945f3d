//! Lines that are no events, judged by filters.

use std::net::SocketAddr;

use super::*;
use crate::{
    analyse::correlate::{News, Stories, What as Happened},
    filter::{ListenerFilter, Only},
    model::{
        Candidate,
        cause::Cause,
        kind::{Kind, Stage},
        socket::ListenerSnapshot,
        story::{Attempt, Whose},
    },
    source::replay::Item,
};

const NETNS: u32 = 7;

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn nginx() -> Arc<[Owner]> {
    Arc::from([Owner {
        pid: 8,
        comm: "nginx".into(),
        exe: None,
    }])
}

/// What the words `--listener :80 --comm nginx` ask for.
fn choice(words: &str) -> Choice {
    #[derive(clap::Parser)]
    struct Words {
        #[arg(long = "listener")]
        listeners: Vec<ListenerFilter>,
        #[arg(long)]
        netns: Option<u32>,
        #[command(flatten)]
        only: Only,
    }
    let words = ["whydrop"].into_iter().chain(words.split_whitespace());
    let words = <Words as clap::Parser>::try_parse_from(words).expect("filters");
    let filter = Filter {
        listeners: words.listeners,
        netns: words.netns,
        only: words.only,
    };
    Choice::new(filter, Bounds::default())
}

fn other(what: What) -> Recorded {
    Recorded::Other(Item { mono_ns: 5, what })
}

#[track_caller]
fn check(make: impl Fn() -> What, words: &str, expect: bool) {
    assert_eq!(choice(words).takes(&mut other(make())), expect, "{words}");
}

fn sampled(listener: Option<&str>) -> What {
    What::Sampled(Sampled {
        netns: NETNS,
        netns_name: None,
        listener: listener.map(addr),
        cookie: 3,
        kind: Kind::Overflow,
        stage: Some(Stage::Syn),
        cause: Some(Cause::among("accept-queue-full", &["no-memory"])),
        count: 10,
        clients: 2,
        clients_exact: true,
    })
}

#[test]
fn what_was_left_out_stands_for_many_clients_and_has_a_listener_and_a_cause() {
    let known = || sampled(Some("0.0.0.0:80"));
    check(known, "", true);
    check(known, "--client 10.0.0.1", true);
    check(known, "--listener :80 --cause accept-queue-full", true);
    check(known, "--cause no-memory", true);
    check(known, "--cause no-route", false);
    check(known, "--listener :81", false);
    check(known, "--netns 8", false);
    check(|| sampled(None), "--listener :80", false);
    check(|| sampled(None), "--netns 7", true);
    // No event has told whose it is.
    check(known, "--comm nginx", false);
}

#[test]
fn whose_it_was_is_known_from_events() {
    let mut choice = choice("--comm nginx");
    let holder = Holder {
        owner: nginx(),
        cgroup: None,
    };
    let name = (NETNS, 3, addr("0.0.0.0:80"));
    choice.holders.insert(name, holder);
    assert!(choice.takes(&mut other(sampled(Some("0.0.0.0:80")))));
    assert!(!choice.takes(&mut other(sampled(Some("0.0.0.0:81")))));
}

fn story(listener: Option<(u64, SocketAddr)>) -> What {
    let mut stories = Stories::default();
    stories.take(News {
        mono_ns: 1,
        attempt: Attempt {
            netns: NETNS,
            client: addr("10.0.0.1:5000"),
            local: addr("10.0.0.9:80"),
        },
        what: Happened::Refused {
            stage: Stage::Syn,
            isn: 1,
            aborted: false,
        },
        cause: "overflow/accept-queue-full".into(),
        listener,
        whose: Whose {
            owner: nginx(),
            ..Whose::default()
        },
        shown: true,
    });
    let (mut told, _) = stories.end(2);
    What::Story(Box::new(told.remove(0)))
}

#[test]
fn a_story_is_judged_by_its_client_its_listener_and_its_causes() {
    let known = || story(Some((3, addr("0.0.0.0:80"))));
    check(known, "", true);
    check(known, "--client 10.0.0.0/8 --comm nginx", true);
    check(known, "--client 10.0.0.2", false);
    check(known, "--comm other", false);
    check(known, "--cause accept-queue-full", true);
    check(known, "--cause no-route", false);
    check(known, "--listener 10.0.0.8:80", true);
    check(|| story(None), "--listener 10.0.0.9:80", true);
    check(|| story(None), "--listener 10.0.0.8:80", false);
    check(known, "--netns 8", false);
}

fn candidate(bound: &str) -> Candidate {
    Candidate {
        snapshot: ListenerSnapshot {
            cookie: 3,
            addr: addr(bound),
            accept_queue_len: 1,
            accept_queue_limit: 1,
            taken_mono_ns: 0,
            ..ListenerSnapshot::sample()
        },
        drops_delta: 1,
        owner: nginx(),
        cgroup: None,
    }
}

#[test]
fn of_a_line_of_the_counters_tier_the_candidates_that_were_asked_for_are_left() {
    let tick = || {
        other(What::Tick(Tick {
            mono_ns: 5,
            netns: NETNS,
            netns_name: None,
            kind: Kind::Overflow,
            count: 3,
            candidates: vec![candidate("0.0.0.0:80"), candidate("0.0.0.0:81")],
            no_candidates: None,
        }))
    };
    let left = |words: &str| {
        let mut recorded = tick();
        let taken = choice(words).takes(&mut recorded);
        let Recorded::Other(Item {
            what: What::Tick(tick),
            ..
        }) = recorded
        else {
            panic!("another line");
        };
        (taken, tick.candidates.len())
    };
    assert_eq!(left(""), (true, 2));
    assert_eq!(left("--comm nginx"), (true, 2));
    assert_eq!(left("--listener :80"), (true, 1));
    assert_eq!(left("--listener :82"), (false, 0));
    assert_eq!(left("--netns 8"), (false, 2));
}
