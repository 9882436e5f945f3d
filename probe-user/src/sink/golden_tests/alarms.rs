//! Incidents as they are told while they go on.

use super::lines::{OTHER_NETNS, cgroup, given};
use crate::{
    model::{
        TopClient,
        alarm::{Alarm, Phase, Refusing, Said},
    },
    sink::event_tests::{AT_NS, OWN_NETNS, addr, owner},
};

/// At its begin, while it lasts, and when the watch ended.
pub(in crate::sink) fn incidents() -> [Alarm; 3] {
    let refusing = |cookie, drops| Refusing {
        cookie,
        owner: [owner(812, "nginx", Some("/usr/sbin/nginx"))].into(),
        cgroup: cgroup(),
        drops,
    };
    let begin = Alarm {
        id: 1,
        phase: Phase::Begin,
        mono_ns: AT_NS,
        start_ns: AT_NS,
        last_ns: AT_NS,
        netns: OWN_NETNS,
        netns_name: None,
        addr: addr("127.0.0.1:8080"),
        listeners: vec![refusing(0x1f, 1)],
        causes: [("overflow/accept-queue-full".to_owned(), 1)].into(),
        at_least: false,
        clients: 1,
        clients_exact: true,
        top_clients: Vec::new(),
        accept_queue: Some((129, 128)),
        verdicts: Vec::new(),
        doubts: Vec::new(),
        untold: 0,
    };
    let update = Alarm {
        phase: Phase::Update,
        mono_ns: AT_NS + 10_000_000_000,
        last_ns: AT_NS + 9_700_000_000,
        netns: OTHER_NETNS,
        netns_name: given(),
        listeners: vec![refusing(0x1f, 40), refusing(0x20, 2)],
        causes: [
            ("overflow/accept-queue-full".to_owned(), 41),
            ("request-drop/syn-queue-full".to_owned(), 1),
        ]
        .into(),
        at_least: true,
        clients: 2,
        clients_exact: false,
        top_clients: vec![TopClient {
            addr: addr("198.51.100.207:0").ip(),
            refusals: 40,
        }],
        verdicts: vec![Said {
            id: "acceptor-stopped".into(),
            confidence: "likely".into(),
            says: "Everybody who accepts from it is stopped.".into(),
            evidence: vec![("1 of 1 threads was stopped".into(), "task/status".into())],
            advice: vec!["Let it go on: kill -CONT 812".into()],
        }],
        doubts: vec!["3 lines were lost meanwhile: some of these may have been of it".into()],
        untold: 2,
        ..begin.clone()
    };
    let cut = Alarm {
        phase: Phase::Cut,
        mono_ns: AT_NS + 12_000_000_000,
        accept_queue: None,
        listeners: Vec::new(),
        ..begin.clone()
    };
    [begin, update, cut]
}
