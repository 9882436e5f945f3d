//! Firewalls, ways, half-open requests, other places: what looks the same and is not it.

use super::*;
use crate::model::{
    signals::{Death, Ending, Probe, Tries},
    socket::HalfOpen,
};

pub(super) fn of(causes: &[(Kind, &str, u64)]) -> Signals {
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
    let in_time_wait = "3 of them met a connection of the same addresses and ports in TIME_WAIT";
    check(
        "tcp-rfc7323-tw-paws",
        &["timestamps-rejected"],
        in_time_wait,
    );
    // An old connection of the same ports is told from a cookie.
    check(
        "tcp-invalid-syn",
        by_kernel,
        "of a connection that is still open here",
    );
    check("tcp-fastopen", by_kernel, "a fast-open cookie");
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
            stays: is_back,
            who: "server[7]".into(),
            ending,
            outlived: false,
            back: is_back.then(|| std::time::Duration::from_secs(1)),
            by: Some("server[9], a child of systemd[1],".into()),
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

#[test]
fn who_started_it_again_is_named() {
    let evidence = |is_back| {
        let said = diagnose(&gone(Some(Ending::Signal(9)), is_back));
        said.verdicts[0].evidence[0].says.clone()
    };
    assert_eq!(
        evidence(true),
        "server[7] was killed by signal 9 (SIGKILL); after 1000 ms server[9], a child of systemd[1], listened there again, and still does"
    );
    assert!(evidence(false).ends_with("nobody was seen to listen there again"));
}

/// One that went while another listener at the address went on has left nobody without.
#[test]
fn a_death_that_another_outlived_is_not_why() {
    let mut signals = gone(Some(Ending::Signal(9)), true);
    signals.deaths[0].outlived = true;
    assert_eq!(found(&signals), ["listener-restarting"]);
    // But what was in its own queue was reset.
    let reset = (Kind::ListenerClosed, "queued-connections-reset".to_owned());
    signals.causes = [(reset, 1)].into();
    assert!(found(&signals).contains(&"process-died"));
}

/// The listener that was looked at is the one that was closed.
#[test]
fn where_nobody_listens_again_nothing_is_restarting() {
    let mut signals = gone(None, true);
    signals.is_gap = true;
    assert_eq!(found(&signals), ["listener-restarting"]);
    signals.is_final = true;
    assert_eq!(found(&signals), ["no-listener"]);
    // Somebody else's namespace is no answer either.
    signals.causes = of(&[(Kind::Refused, "listener-in-other-namespace", 9)]).causes;
    assert_eq!(found(&signals), ["no-listener"]);
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

/// A SYN queue without room for `beyond` SYNs, of a listener at which `established` connections were made, and a look at its
/// half-open requests: in all, aged, and sent again.
pub(super) fn crowded(beyond: u64, established: u64, requests: (u32, u32, u32)) -> Signals {
    let mut signals = of(&[(Kind::CookieSent, "syn-queue-full", beyond)]);
    let (in_all, aged, resent) = requests;
    signals.members.push(Member {
        limit: 32,
        established,
        half_open: Some(HalfOpen {
            in_all,
            aged,
            resent,
            clients: 1,
        }),
        ..Member::default()
    });
    signals.put_off = Some((0, 0));
    signals.tries = Tries {
        attempts: beyond as usize,
        repeated: 0,
        sources: beyond as usize,
    };
    signals
}

pub(super) fn put_off(mut signals: Signals, acks: u64) -> Signals {
    signals.put_off = Some((acks, acks));
    signals
}

#[test]
fn clients_that_are_connected_and_silent_are_no_flood() {
    let held = "defer-accept-holds-requests";
    // With cookies on those without room are connected at once; with cookies off nobody is.
    assert_eq!(found(&put_off(crowded(300, 300, (33, 25, 0)), 33)), [held]);
    assert_eq!(found(&put_off(crowded(300, 0, (33, 25, 0)), 33)), [held]);
    // A flood at such a listener acknowledges nothing, and its SYN-ACKs are sent again.
    let flood = put_off(crowded(300, 4, (33, 30, 30)), 4);
    assert_eq!(found(&flood), ["syn-flood"]);
    // Clients that speak at once do not stay.
    let burst = put_off(crowded(300, 400, (33, 1, 0)), 400);
    assert_eq!(found(&burst), ["legitimate-burst"]);
    // Nothing was put off, so they did not acknowledge.
    assert_eq!(found(&crowded(300, 300, (33, 2, 2))), ["legitimate-burst"]);
    // They came before the watch.
    let mut before = put_off(crowded(300, 300, (33, 25, 0)), 33);
    before.put_off = Some((33, 0));
    assert_eq!(found(&before), [held]);
    // Another listener has it, and nothing comes through here: neither is sure.
    before.members[0].established = 0;
    assert_eq!(found(&before), [""; 0]);
    // Who was not looked at is not judged.
    let mut unlooked = put_off(crowded(300, 300, (0, 0, 0)), 33);
    unlooked.members[0].half_open = None;
    assert_eq!(found(&unlooked), ["legitimate-burst"]);
}

#[test]
fn clients_that_hear_nothing_are_no_flood() {
    let flood = || crowded(300, 0, (33, 30, 30));
    assert_eq!(found(&flood()), ["syn-flood"]);
    // They send the same SYN again.
    let mut again = flood();
    again.tries.repeated = 120;
    assert_eq!(found(&again), ["path-loss"]);
    // Some victims among many that send each SYN once.
    again.tries.repeated = 12;
    assert_eq!(found(&again), ["syn-flood"]);
    // The SYN-ACKs do not leave this host.
    assert_eq!(found(&crowded(300, 0, (33, 30, 0))), ["path-loss"]);
    // An attempt of whydrop's own would have had a SYN cookie for an answer.
    let mut tried = flood();
    tried.probe = Some(Probe::Unanswered);
    assert_eq!(found(&tried), ["path-loss"]);
    tried.probe = Some(Probe::Connected);
    assert_eq!(found(&tried), ["syn-flood"]);
}

#[test]
fn answers_that_do_not_come_through() {
    let sound = |established| {
        let mut signals = crowded(0, established, (2, 0, 0));
        signals.causes.clear();
        signals
    };
    assert_eq!(found(&sound(10)), [""; 0]);
    let lost = ["path-loss"];
    let requests = |in_all, aged, resent| {
        Some(HalfOpen {
            in_all,
            aged,
            resent,
            clients: 1,
        })
    };
    // SYN-ACKs that this host drops are not sent again; those that the network drops are.
    let mut signals = sound(0);
    signals.members[0].half_open = requests(9, 6, 0);
    assert_eq!(found(&signals), lost);
    signals.members[0].half_open = requests(9, 6, 6);
    assert_eq!(found(&signals), lost);
    // Where clients are silent on purpose they are not lost.
    let silent = {
        let mut signals = sound(9);
        signals.members[0].half_open = requests(9, 6, 0);
        put_off(signals, 9)
    };
    assert_eq!(found(&silent), [""; 0]);
    // A few of many are lost on every way.
    let mut signals = sound(4000);
    signals.resent = 5;
    assert_eq!(found(&signals), [""; 0]);
    signals.resent = 900;
    assert_eq!(found(&signals), lost);
    // Requests come and go, and none is established.
    let mut signals = sound(0);
    signals.members[0].half_open_looks = 4;
    assert_eq!(found(&signals), lost);
    signals.members[0].established = 1;
    assert_eq!(found(&signals), [""; 0]);
    // Its own attempt had no answer, and no firewall says that it dropped it.
    let mut signals = sound(0);
    signals.probe = Some(Probe::Unanswered);
    assert_eq!(found(&signals), lost);
    let dropped = (Kind::PacketDrop, "netfilter-drop".to_owned());
    signals.causes.insert(dropped, 3);
    assert_eq!(found(&signals), ["rejected-by-firewall"]);
    // Behind a full accept queue requests stay half-open, and the attempt is refused.
    let mut signals = pinned();
    thread(&mut signals).stopped = 20;
    signals.members[0].half_open = requests(9, 6, 0);
    signals.probe = Some(Probe::Unanswered);
    assert_eq!(found(&signals), ["acceptor-stopped"]);
}

/// Where no hook tells of requests that end, looks at them do.
#[test]
fn path_loss_is_ruled_out_where_requests_were_looked_at() {
    let mut signals = crowded(0, 9, (1, 0, 0));
    signals.blind.push("request-expired");
    let abstains = |signals: &Signals| diagnose(signals).abstained.contains(&"path-loss");
    assert!(!abstains(&signals));
    signals.members[0].half_open = None;
    assert!(abstains(&signals));
}

/// Beside a flood a client that was refused is one of its victims; one that was not has another cause, or none.
#[test]
fn one_client_in_a_flood() {
    let beyond = (Kind::RequestDrop, "syn-queue-full".to_owned());
    let mut signals = Signals {
        everybody: Some(Causes::from([(beyond.clone(), 5000)])),
        members: vec![Member::default()],
        ..Signals::default()
    };
    signals.members[0].limit = 16;
    assert_eq!(found(&signals), [""; 0]);
    signals.causes.insert(beyond, 1);
    signals.refusals = 1;
    assert_eq!(found(&signals), ["syn-flood"]);
}

#[test]
fn a_drop_that_may_have_other_causes_is_not_certain() {
    let confidence = |causes: &[&str]| {
        let mut signals = Signals::default();
        for cause in causes {
            let name = (Kind::ListenDrop, (*cause).to_owned());
            signals.causes.insert(name, 20);
        }
        let verdicts = diagnose(&signals).verdicts;
        let confidence: Vec<_> = verdicts.iter().map(|v| (v.id, v.confidence)).collect();
        assert_eq!(confidence.len(), 1, "{confidence:?}");
        confidence[0]
    };
    let verdict = "memory-or-route";
    let (certain, likely) = (Confidence::Certain, Confidence::Likely);
    assert_eq!(confidence(&["no-memory"]), (verdict, certain));
    assert_eq!(confidence(&["no-route"]), (verdict, likely));
    assert_eq!(confidence(&["no-memory", "no-route"]), (verdict, likely));
}
