//! Firewalls, ways, half-open requests, other places: what looks the same and is not it.

use super::*;
use crate::model::signals::{Death, Ending};

fn of(causes: &[(Kind, &str, u64)]) -> Signals {
    let causes = causes.iter();
    Signals {
        causes: causes
            .map(|(kind, cause, n)| ((*kind, (*cause).to_owned()), *n))
            .collect(),
        ..Signals::default()
    }
}

#[test]
fn the_kernel_names_a_reason() {
    let check = |cause: &str, expected: &[&str], says: &str| {
        let diagnosis = diagnose(&of(&[(Kind::PacketDrop, cause, 3)]));
        let ids: Vec<&str> = diagnosis.verdicts.iter().map(|one| one.id).collect();
        assert_eq!(ids, expected, "{cause}");
        let all = format!("{:?}", diagnosis.verdicts);
        assert!(all.contains(says), "{cause}: {all}");
    };
    let by_kernel = &["dropped-by-kernel"];
    check("tcp-md5failure", by_kernel, "keys of the two ends differ");
    check("tcp-md5notfound", by_kernel, "its segments have none");
    check("ip-rpfilter", by_kernel, "ip route get CLIENT");
    check("tcp-minttl", by_kernel, "IP_MINTTL");
    check("xfrm-policy", by_kernel, "ip xfrm policy");
    check("tc-ingress", by_kernel, "tc -s filter show");
    check("socket-filter", by_kernel, "bpftool cgroup tree");
    check(
        "of-a-later-kernel",
        by_kernel,
        "include/net/dropreason-core.h",
    );
    // These have a verdict of their own, or nobody meant to connect.
    check("netfilter-drop", &["rejected-by-firewall"], "");
    check("tcp-rfc7323-paws", &["timestamps-rejected"], "");
    check("tcp-flags", &[], "");
    check("tcp-reset", &[], "");
}

/// What to do is that of the reason which was given most often.
#[test]
fn advice_of_the_reason_that_was_given_most() {
    let advice = |rpfilter: u64| {
        let signals = of(&[
            (Kind::PacketDrop, "ip-rpfilter", rpfilter),
            (Kind::PacketDrop, "tcp-md5failure", 5),
        ]);
        let verdicts = diagnose(&signals).verdicts;
        assert_eq!(verdicts[0].evidence.len(), 2);
        verdicts[0].advice[0].contains("ip route get")
    };
    assert_eq!([advice(9), advice(1)], [true, false]);
}

/// A listener that went, of which `ending` is told, and came back or not.
fn gone(ending: Option<Ending>, is_back: bool) -> Signals {
    let mut signals = of(&[(Kind::Refused, "listener-closed", 9)]);
    signals.closed_by = vec!["server[7]".into()];
    signals.deaths = ending
        .map(|ending| Death {
            who: "server[7]".into(),
            ending,
            back: is_back.then(|| std::time::Duration::from_secs(1)),
        })
        .into_iter()
        .collect();
    signals.members = vec![Member::default(); usize::from(is_back)];
    signals
}

#[test]
fn a_death_is_no_restart() {
    let check = |ending, is_back, expected: &str| {
        let signals = gone(ending, is_back);
        assert_eq!(found(&signals), [expected], "{ending:?} {is_back}");
    };
    check(Some(Ending::Signal(9)), true, "process-died");
    check(Some(Ending::Signal(11)), false, "process-died");
    check(Some(Ending::Status(1)), true, "process-died");
    // Somebody asked it to end, or it closed its listener and lives.
    check(Some(Ending::Signal(15)), true, "listener-restarting");
    check(Some(Ending::Status(143)), true, "listener-restarting");
    check(Some(Ending::Status(0)), false, "no-listener");
    check(None, true, "listener-restarting");
    check(None, false, "no-listener");
    // It was not asked by SIGKILL, whatever a shell makes of it.
    check(Some(Ending::Status(137)), true, "process-died");
}

/// What waited in the queue was reset, and those who came later were refused: both are said.
#[test]
fn a_restart_is_not_hidden_by_what_was_queued() {
    let mut signals = gone(None, true);
    let reset = (Kind::ListenerClosed, "queued-connections-reset".to_owned());
    signals.causes.insert(reset, 1);
    let both = ["listener-closed-with-queue", "listener-restarting"];
    assert_eq!(found(&signals), both);
    signals.deaths = gone(Some(Ending::Signal(9)), true).deaths;
    assert_eq!(
        found(&signals),
        ["listener-closed-with-queue", "process-died"]
    );
}

/// A server of another namespace with the same port means nothing where one was here too.
#[test]
fn another_namespace_is_no_answer_where_somebody_listened_here() {
    let mut signals = of(&[(Kind::Refused, "listener-in-other-namespace", 9)]);
    assert_eq!(found(&signals), ["listener-elsewhere"]);
    signals.is_gap = true;
    signals.members.push(Member::default());
    assert_eq!(found(&signals), ["listener-restarting"]);
    // Of the same namespace it is the kernel's own answer.
    let other = (Kind::Refused, "listener-on-other-address".to_owned());
    signals.causes.insert(other, 1);
    assert_eq!(found(&signals), ["listener-elsewhere"]);
}
