//! What an answer says last: what to try next, and how to see whether a change has helped.

use crate::{
    model::{Answer, Now, OfClient, Seen, Tried, netns_name::NetnsName},
    sink::{
        answer::AnswerFormat,
        event_tests::{OWN_NETNS, addr},
        golden_tests::answers::{empty_answer, full_answer},
    },
};

fn said(answer: &Answer) -> String {
    let mut text = String::new();
    answer.write(AnswerFormat::Text, &mut text);
    text
}

fn line<'a>(text: &'a str, begins: &str) -> &'a str {
    let found = text
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with(begins));
    found.unwrap_or_else(|| panic!("no `{begins}`: {text}"))
}

#[test]
fn what_to_try_next_was_not_tried_yet() {
    let nothing = said(&empty_answer());
    assert_eq!(
        line(&nothing, "no verdict: "),
        "no verdict: watch while it happens (--for 10m), or try --probe"
    );
    let tried = Tried {
        mono_ns: 1,
        to: Some(addr("127.0.0.1:80")),
        took: std::time::Duration::ZERO,
        outcome: Tried::CONNECTED.into(),
    };
    let probed = Answer {
        tried: Some(tried),
        ..empty_answer()
    };
    assert!(!said(&probed).contains("--probe"), "{}", said(&probed));
}

#[test]
fn who_was_accepted_was_watched_while_it_happened() {
    let accepted = || Answer {
        seen: Seen {
            accepted: 12,
            adds_up: true,
            ..Seen::default()
        },
        ..empty_answer()
    };
    let doubtful = Answer {
        doubts: vec!["3 events were lost".into()],
        ..accepted()
    };
    let of_client = Answer {
        client: Some(OfClient {
            who: "10.0.0.0/8".into(),
            untold: 0,
        }),
        ..accepted()
    };
    for (answer, says) in [
        (
            &accepted(),
            "12 connections were accepted, and nobody was refused here",
        ),
        (
            &doubtful,
            "12 connections were accepted, and whether anybody was refused cannot be told",
        ),
        (
            &of_client,
            "12 connections were accepted of all clients, and 10.0.0.0/8 was not refused here",
        ),
    ] {
        let text = said(answer);
        assert!(line(&text, "no verdict: ").contains(says), "{text}");
        assert!(!text.contains("watch while it happens"), "{text}");
    }
}

/// Pasted, it judges the same listener and no other.
#[test]
fn the_line_that_verifies_keeps_whom_it_is_about() {
    let mut answer = full_answer();
    answer.answers.truncate(2);
    let text = said(&answer);
    for expected in [
        "after the change: whydrop verify 0.0.0.0:8080 --netns blue --for 60s",
        "the same of 10.0.0.0/8 alone: whydrop why 0.0.0.0:8080 --netns blue --client 10.0.0.0/8 --for 60s",
        // Another namespace has the same port.
        "after the change: whydrop verify 127.0.0.2:8080 --netns self --for 60s",
    ] {
        assert!(text.lines().any(|line| line.trim() == expected), "{text}");
    }
    answer.client = None;
    answer.netns_names.retain(|netns, _| *netns == OWN_NETNS);
    let text = said(&answer);
    assert!(!text.contains("--client"), "{text}");
    // Nothing finds that namespace any more; this host has no other.
    assert!(!text.contains("verify 0.0.0.0:8080"), "{text}");
    assert_eq!(
        line(&text, "after the change: "),
        "after the change: whydrop verify 127.0.0.2:8080 --for 60s"
    );
    let name = NetnsName::Process {
        pid: 77,
        comm: "sh".into(),
    };
    answer.netns_names.insert(4_026_532_999, name.into());
    let text = said(&answer);
    assert!(text.contains("verify 0.0.0.0:8080 --netns 77 "), "{text}");
    // The one that was asked about needs no mention in lines, and is not whydrop's own.
    answer.own_netns = 4_026_532_999;
    answer.answers.truncate(1);
    answer.now = Some(Now {
        only: Some(4_026_532_999),
        ..Now::default()
    });
    let text = said(&answer);
    assert!(text.contains("verify 0.0.0.0:8080 --netns 77 "), "{text}");
}
