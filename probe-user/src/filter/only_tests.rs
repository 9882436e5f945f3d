//! Arguments come in, and what passes the filter made of them goes out.

use clap::Parser;

use super::*;
use crate::model::{
    event::Event,
    refusal::{Closed, Refusal},
};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    only: Only,
}

fn only(text: &str) -> Only {
    let words = ["whydrop"].into_iter().chain(text.split_whitespace());
    Line::try_parse_from(words).expect(text).only
}

fn owner(pid: u32, comm: &str) -> Owner {
    Owner {
        pid,
        comm: comm.into(),
        exe: None,
    }
}

fn check_whose(filters: &str, expect: bool) {
    let owners = [owner(7, "nginx"), owner(8, "worker")];
    let id = "0123456789abcdef".repeat(4);
    let cgroup = Cgroup::of(format!("/system.slice/docker-{id}.scope"));
    let got = only(filters).takes_whose(&owners, Some(&cgroup));
    assert_eq!(got, expect, "{filters}");
}

#[test]
fn several_of_one_kind_are_or_and_different_kinds_are_and() {
    check_whose("", true);
    check_whose("--pid 8", true);
    check_whose("--pid 9", false);
    check_whose("--pid 9 --pid 7", true);
    check_whose("--pid 7 --comm worker", true);
    check_whose("--pid 7 --comm other", false);
    check_whose("--cgroup /system.slice", true);
    check_whose(
        "--cgroup /user.slice --cgroup /system.slice --comm nginx",
        true,
    );
    check_whose("--cgroup /user.slice --comm nginx", false);
    check_whose("--container 012345", true);
    check_whose("--container 123456", false);
}

#[test]
fn what_is_not_known_is_not_what_was_asked_for() {
    for filters in ["--pid 7", "--comm a", "--cgroup /", "--container 012345"] {
        assert!(!only(filters).takes_whose(&[], None), "{filters}");
    }
    assert!(!only("--cause no-route").takes_cause(None));
    assert!(only("").takes_cause(None));
}

#[test]
fn a_cause_that_may_be_is_taken() {
    let cause = Cause::among("no-route", &["no-memory"]);
    let takes = |text: &str| only(text).takes_cause(Some(&cause));
    assert!(takes("--cause no-route"));
    assert!(takes("--cause icmp-error --cause no-memory"));
    assert!(!takes("--cause icmp-error"));
}

#[test]
fn what_makes_no_sense_is_refused_in_a_sentence() {
    let check = |text: &str, tier, names: &str| {
        let error = only(text).check(tier).expect_err(text);
        assert!(error.contains(names), "{error}");
    };
    let unknown = "`frobnication` is not a cause, such as";
    check("--cause no-route --cause frobnication", None, unknown);
    check("--cause no-route", Some(Tier::Counters), "counters tier");
    // include/linux/threads.h:PID_MAX_LIMIT.
    check("--pid 1 --pid 4194305", None, "no process 4194305");
    check("--client ::1", Some(Tier::Counters), "counters tier");
    assert_eq!(only("--cause netfilter-drop").check(None), Ok(()));
    assert_eq!(only("--pid 1").check(Some(Tier::Counters)), Ok(()));
}

#[test]
fn filters_are_told_in_words() {
    let all = "--client 10.0.0.0/8 --cause no-route --container 012345 --cgroup / --comm a --pid 1";
    let words = [
        "process 1",
        "processes named a",
        "cgroup /",
        "container 012345",
        "cause no-route",
        "client 10.0.0.0/8",
    ];
    assert_eq!(only(all).in_words(), words);
}

/// A refusal of one client, at a listener that its owner has closed.
fn refused(client: &str, owners: Vec<Owner>) -> Observation {
    let closed = Closed {
        mono_ns: 1,
        netns: 1,
        addr: ([0, 0, 0, 0], 80).into(),
        cookie: 5,
        by: None,
        owner: owners.into(),
    };
    let refusal = Refusal::closed(closed);
    Observation {
        event: Event {
            mono_ns: 2,
            stage: None,
            client: Some(client.parse().expect("an address")),
            ..Event::sample()
        },
        cause: refusal.cause.clone(),
        refusal,
        ..Observation::sample()
    }
}

#[test]
fn a_refusal_is_that_of_who_listened_before() {
    let seen = refused("[::ffff:10.0.0.1]:5000", vec![owner(7, "nginx")]);
    let check = |filters: &str, expect| assert_eq!(only(filters).takes(&seen), expect, "{filters}");
    check("", true);
    check(
        "--comm nginx --cause listener-closed --client 10.0.0.0/8",
        true,
    );
    check("--comm other", false);
    check("--cause no-listener", false);
    check("--client 10.0.0.2", false);
    check("--cgroup /", false);
}
