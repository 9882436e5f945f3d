//! Refused elsewhere, or before a SYN was sent: what looks the same and is not it.

use std::sync::Arc;

use super::*;
use crate::model::{
    around::{How, Redirect, Sources, Taker},
    netns_name::NetnsName,
    signals::Probe,
};

fn addr(text: &str) -> std::net::SocketAddr {
    text.parse().expect("an address")
}

/// Published as a container's port is, and served.
pub(super) fn published() -> Redirect {
    Redirect {
        netns: 7,
        netns_name: None,
        how: How::Translated,
        from: addr("172.30.0.1:8080"),
        to: addr("172.30.0.2:80"),
        connections: 9,
        unanswered: 0,
        listeners: vec![Taker {
            netns: 8,
            netns_name: Some(Arc::new(NetnsName::Given("web".into()))),
            owner: Arc::from([]),
            cookie: 5,
            addr: addr("0.0.0.0:80"),
            accept_queue_len: 0,
            accept_queue_limit: 4,
            drops: Some(20),
            refused: Some(0),
        }],
        unasked: false,
    }
}

fn check(redirect: impl FnOnce(&mut Redirect), expected: &[(&str, Confidence)]) -> String {
    let mut one = published();
    redirect(&mut one);
    let signals = Signals {
        redirects: Some(vec![one]),
        ..Signals::default()
    };
    let verdicts = diagnose(&signals).verdicts;
    let found: Vec<_> = verdicts.iter().map(|v| (v.id, v.confidence)).collect();
    assert_eq!(found, expected);
    format!("{verdicts:?}")
}

#[test]
fn a_published_port_leads_to_the_listener_that_refused() {
    const LIKELY: &[(&str, Confidence)] = &[("redirected-elsewhere", Confidence::Likely)];
    const CERTAIN: &[(&str, Confidence)] = &[("redirected-elsewhere", Confidence::Certain)];
    check(|_| {}, &[]);
    check(|one| one.unanswered = 3, LIKELY);
    // Its listener refuses others, and all that were translated had their answers.
    check(|one| one.listeners[0].accept_queue_len = 5, &[]);
    check(|one| one.listeners[0].refused = Some(3), &[]);
    let says = check(
        |one| {
            one.unanswered = 3;
            one.listeners[0].refused = Some(3);
        },
        CERTAIN,
    );
    assert!(
        says.contains("whydrop why 172.30.0.2:80 --netns web"),
        "{says}"
    );
    assert!(says.contains("its sk_drops rose by 3 meanwhile"), "{says}");
    // Of a listener on another host nothing is known but that it does not answer.
    let says = check(
        |one| {
            one.unanswered = 3;
            one.listeners.clear();
        },
        LIKELY,
    );
    assert!(
        says.contains("nobody on this host listens at 172.30.0.2:80"),
        "{says}"
    );
    let says = check(
        |one| {
            one.unanswered = 3;
            one.listeners.clear();
            one.unasked = true;
        },
        LIKELY,
    );
    assert!(
        says.contains("who listens at 172.30.0.2:80 is not known"),
        "{says}"
    );
}

/// Which of several listeners with IP_TRANSPARENT takes a connection, only a rule says.
#[test]
fn a_transparent_proxy_is_likely() {
    const LIKELY: &[(&str, Confidence)] = &[("redirected-elsewhere", Confidence::Likely)];
    let transparent = |one: &mut Redirect| {
        one.how = How::Transparent;
        one.listeners[0].refused = Some(3);
    };
    let says = check(transparent, LIKELY);
    assert!(
        says.contains("whydrop why 0.0.0.0:80 --netns web"),
        "{says}"
    );
}

#[test]
fn a_table_that_cannot_be_read_says_nothing() {
    let diagnosis = diagnose(&Signals::default());
    assert!(diagnosis.abstained.contains(&"redirected-elsewhere"));
    let refused = Signals {
        refusals: 3,
        ..Signals::default()
    };
    let diagnosis = diagnose(&refused);
    assert!(!diagnosis.abstained.contains(&"redirected-elsewhere"));
}

#[test]
fn source_ports_that_may_be_taken_again_are_left() {
    let held = |taken, time_wait, reuses| Sources {
        from: addr("127.0.0.1:0").ip(),
        to: addr("127.0.0.1:80"),
        taken,
        time_wait,
        reuses,
    };
    assert_eq!(held(10, 9, Some(false)).held(), 10);
    assert_eq!(held(10, 9, Some(true)).held(), 1);
    assert_eq!(held(10, 9, None).held(), 1, "what is not known is not said");
    let mut signals = Signals {
        exhausted: Some((Vec::new(), 10)),
        ..Signals::default()
    };
    assert!(diagnose(&signals).verdicts.is_empty());
    signals.exhausted = Some((vec![held(10, 0, Some(true))], 10));
    let verdict = |signals: &Signals| diagnose(signals).verdicts.remove(0);
    assert_eq!(verdict(&signals).id, "source-ports-exhausted");
    assert_eq!(verdict(&signals).confidence, Confidence::Likely);
    signals.probe = Some(Probe::NoPort);
    assert_eq!(verdict(&signals).confidence, Confidence::Certain);
}
