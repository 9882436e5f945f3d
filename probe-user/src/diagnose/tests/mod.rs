//! A table of signals and of the verdicts they lead to.

mod acceptors;
mod alike;
mod around;
mod forked;
mod network;
mod properties;
mod would_tell;

use super::*;
use crate::model::{
    kind::Kind,
    signals::{Causes, Cgroup, Member, Process, Signals, Thread},
    sysctls::Sysctls,
};

const DOCS: &str = include_str!("../../../../docs/verdicts.md");

/// A listener whose queue of 16 was over its limit in every look while it refused 40.
fn pinned() -> Signals {
    let mut signals = Signals {
        refusals: 40,
        clients: 4,
        adds_up: true,
        members: vec![Member {
            cookie: 1,
            limit: 16,
            refusals: 40,
            established: 17,
            accepted: Some(0),
            peak: 17,
            looks: 20,
            full_looks: 20,
            longest_full: std::time::Duration::from_secs(1),
            accepted_while_full: Some(0),
            owners: 1,
            ..Member::default()
        }],
        processes: vec![Process {
            pid: 7,
            comm: "server".into(),
            threads: vec![Thread {
                tid: 7,
                comm: "server".into(),
                looks: 20,
                cpu: Some(0.0),
                delayed: Some(0.0),
                ..Thread::default()
            }],
            is_whole: true,
            fds: Some((10, 1024)),
            cgroup: Some(Cgroup {
                path: "/a".into(),
                throttled: Some((0.0, 0)),
                looks: 20,
                memory_stalled: Some(0.0),
                memory_high: Some(0),
                ..Cgroup::default()
            }),
            ..Process::default()
        }],
        sysctls: Sysctls {
            somaxconn: Some(4096),
            syncookies: Some(1),
            abort_on_overflow: Some(0),
            max_syn_backlog: Some(256),
        },
        ..Signals::default()
    };
    let key = (Kind::Overflow, "accept-queue-full".to_owned());
    signals.causes.insert(key, 40);
    signals
}

/// A burst that the application has drained.
fn burst() -> Signals {
    let mut signals = pinned();
    let member = &mut signals.members[0];
    member.full_looks = 1;
    member.longest_full = std::time::Duration::ZERO;
    member.drained_looks = 18;
    member.accepted = Some(100);
    member.accepted_while_full = None;
    signals
}

fn thread(signals: &mut Signals) -> &mut Thread {
    &mut signals.processes[0].threads[0]
}

/// A member of a group that is served, beside one that is not.
fn served() -> Member {
    Member {
        cookie: 2,
        limit: 16,
        accepted: Some(50),
        looks: 20,
        peak: 2,
        ..Member::default()
    }
}

fn found(signals: &Signals) -> Vec<&'static str> {
    diagnose(signals)
        .verdicts
        .iter()
        .map(|verdict| verdict.id)
        .collect()
}

/// What makes a cause, and the verdict on it.
type Case = (&'static str, Signals, fn(&mut Signals));

#[allow(clippy::too_many_lines, reason = "it is one table")]
fn cases() -> Vec<Case> {
    vec![
        ("backlog-zero", pinned(), |s| {
            s.members[0].limit = 0;
            s.members[0].peak = 1;
            s.members[0].accepted_while_full = Some(30);
        }),
        ("acceptor-stopped", pinned(), |s| thread(s).stopped = 20),
        ("acceptor-stopped", pinned(), |s| {
            let cgroup = s.processes[0].cgroup.as_mut();
            cgroup.expect("it has one").frozen = 20;
        }),
        ("cpu-throttled", pinned(), |s| {
            let cgroup = s.processes[0].cgroup.as_mut();
            cgroup.expect("it has one").throttled = Some((0.6, 9));
            thread(s).cpu = Some(0.9);
        }),
        ("memory-stalled", pinned(), |s| {
            let cgroup = s.processes[0].cgroup.as_mut();
            cgroup.expect("it has one").memory_stalled = Some(0.5);
        }),
        ("fd-exhausted", pinned(), |s| {
            s.processes[0].fds = Some((64, 64));
            thread(s).cpu = Some(1.0);
        }),
        ("acceptor-saturated", pinned(), |s| {
            thread(s).cpu = Some(0.97);
        }),
        ("acceptor-saturated", pinned(), |s| {
            thread(s).cpu = Some(0.6);
            thread(s).delayed = Some(0.35);
        }),
        ("acceptor-starved", pinned(), |s| {
            thread(s).delayed = Some(0.7);
        }),
        ("accept-paused-by-application", pinned(), |s| {
            thread(s).waiting = 20;
            s.members[0].polled = Some(false);
        }),
        ("acceptor-blocked", pinned(), |s| {
            thread(s).blocked = 20;
            thread(s).blocked_in = Some("futex".into());
        }),
        ("acceptor-blocked", pinned(), |s| {
            thread(s).blocked = 18;
            s.members[0].accepted_while_full = Some(14);
        }),
        // A worker that sleeps beside a thread that is awake says nothing.
        ("undetermined", pinned(), |s| {
            let sleeps = Thread {
                tid: 8,
                looks: 20,
                blocked: 20,
                ..Thread::default()
            };
            s.processes[0].threads.push(sleeps);
        }),
        // Whether the one with the lock or the one that waits for it accepts is not known.
        ("undetermined", pinned(), |s| {
            thread(s).cpu = Some(1.0);
            let waits = Thread {
                tid: 8,
                looks: 20,
                blocked: 20,
                locked: 20,
                ..Thread::default()
            };
            s.processes[0].threads.push(waits);
        }),
        ("reuseport-orphan", pinned(), |s| {
            s.members[0].polled = Some(false);
            s.members.push(Member {
                cookie: 2,
                limit: 16,
                accepted: Some(50),
                looks: 20,
                ..Member::default()
            });
        }),
        // Its worker sleeps: that the others do not makes it no matter of balance.
        ("acceptor-blocked", pinned(), |s| {
            thread(s).blocked = 20;
            s.members.push(Member {
                cookie: 2,
                limit: 16,
                accepted: Some(50),
                looks: 20,
                ..Member::default()
            });
        }),
        // An accept(2) that fails at once keeps its caller busy, or waiting for a CPU.
        ("fd-exhausted", pinned(), |s| {
            s.processes[0].fds = Some((64, 64));
            thread(s).delayed = Some(0.7);
        }),
        ("reuseport-imbalance", burst(), |s| s.members.push(served())),
        ("backlog-too-small", burst(), |_| {}),
        ("somaxconn-clamps-backlog", burst(), |s| {
            s.sysctls.somaxconn = Some(16);
        }),
        // Raised during the watch.
        ("somaxconn-clamps-backlog", burst(), |s| {
            s.somaxconn_before = Some(16);
        }),
        // Two generations of one listener, one after the other, are no group.
        ("backlog-too-small", burst(), |s| {
            s.members[0].seen = (11, 30);
            s.members.push(Member {
                cookie: 2,
                limit: 16,
                looks: 10,
                seen: (1, 10),
                ..Member::default()
            });
        }),
        // A pause of the application among many looks at a drained queue is no burst.
        ("acceptor-stopped", burst(), |s| {
            s.members[0].full_looks = 6;
            s.members[0].looks = 600;
            s.members[0].drained_looks = 590;
            s.members[0].longest_full = std::time::Duration::from_millis(300);
            thread(s).stopped = 20;
        }),
        // Behind a full accept queue the SYN queue fills too.
        ("acceptor-stopped", pinned(), |s| {
            thread(s).stopped = 20;
            let cookies = (Kind::CookieSent, "syn-queue-full".to_owned());
            s.causes.insert(cookies, 500);
        }),
        ("undetermined", pinned(), |s| {
            thread(s).stopped = 20;
            s.members[0].owners = 2;
        }),
        // Of many threads, some are looked at.
        ("acceptor-blocked", pinned(), |s| {
            thread(s).blocked = 20;
            s.processes[0].is_whole = false;
        }),
        // Its signals contradict each other, or are not there.
        ("undetermined", pinned(), |_| {}),
        ("undetermined", pinned(), |s| s.processes.clear()),
        ("undetermined", pinned(), |s| s.members.clear()),
        ("undetermined", burst(), |s| s.sysctls.somaxconn = None),
        ("undetermined", burst(), |s| s.members[0].drained_looks = 5),
        // Looks came late, and did not find the queue full while nobody accepted.
        ("undetermined", burst(), |s| {
            s.members[0].stood_still = std::time::Duration::from_millis(500);
        }),
    ]
}

#[test]
fn one_cause_one_verdict() {
    for (n, (expected, mut signals, cause)) in cases().into_iter().enumerate() {
        cause(&mut signals);
        assert_eq!(found(&signals), [expected], "case {n}");
    }
}

/// A recording of the whole host may not say whether a listener that was closed came back.
#[test]
fn whether_a_listener_came_back_is_not_guessed() {
    let refused = |cause: &str, members: usize, is_unlooked: bool| {
        let mut signals = Signals {
            members: vec![Member::default(); members],
            is_unlooked,
            ..Signals::default()
        };
        signals.causes.insert((Kind::Refused, cause.to_owned()), 3);
        let verdicts = diagnose(&signals).verdicts;
        let ids: Vec<&str> = verdicts.iter().map(|verdict| verdict.id).collect();
        ids.join("+")
    };
    assert_eq!(refused("listener-closed", 1, false), "listener-restarting");
    assert_eq!(refused("listener-closed", 0, false), "no-listener");
    assert_eq!(refused("listener-closed", 1, true), "undetermined");
    assert_eq!(refused("listener-closed", 0, true), "undetermined");
    assert_eq!(refused("not-yet-listening", 0, true), "listener-restarting");
    assert_eq!(refused("no-listener", 0, true), "no-listener");
}

/// Nor whether two listeners of one port were there at the same time.
#[test]
fn listeners_that_nobody_looked_at_are_no_group() {
    let one = |cookie, refusals, accepted| Member {
        cookie,
        refusals,
        accepted: Some(accepted),
        limit: 16,
        owners: 1,
        ..Member::default()
    };
    let mut signals = pinned();
    signals.is_unlooked = true;
    signals.members[0].polled = Some(false);
    signals.members.push(one(2, 0, 50));
    let abstained = |signals: &Signals| {
        let abstained = diagnose(signals).abstained;
        ["reuseport-orphan", "reuseport-imbalance"].map(|id| abstained.contains(&id))
    };
    assert_eq!(abstained(&signals), [true, true]);
    signals.members[1].looks = 20;
    assert_eq!(abstained(&signals), [false, false]);
    signals.members = vec![one(1, 40, 0), one(2, 0, 50)];
    assert!(abstained(&signals)[1]);
}

#[test]
fn what_the_kernel_names() {
    let cases = [
        (
            Kind::ListenerClosed,
            "queued-connections-reset",
            "listener-closed-with-queue",
        ),
        (Kind::Refused, "no-listener", "no-listener"),
        (Kind::Refused, "listener-closed", "no-listener"),
        (
            Kind::Refused,
            "listener-on-other-address",
            "listener-elsewhere",
        ),
        (Kind::PacketDrop, "netfilter-drop", "rejected-by-firewall"),
        (Kind::PacketDrop, "tcp-rfc7323-paws", "timestamps-rejected"),
        (Kind::ListenDrop, "no-route", "memory-or-route"),
        (Kind::RequestExpired, "no-ack", "path-loss"),
        (Kind::ListenDrop, "not-unicast", "undetermined"),
        (Kind::Refused, "undetermined", "undetermined"),
    ];
    for (kind, cause, expected) in cases {
        let mut signals = Signals::default();
        signals.causes.insert((kind, cause.into()), 3);
        assert_eq!(found(&signals), [expected], "{kind} {cause}");
    }
}

#[test]
fn syn_queues() {
    let of = |established: u64, dropped: u64, cookies: u64, syncookies: u32| {
        let mut signals = Signals::default();
        signals.sysctls.syncookies = Some(syncookies);
        signals
            .causes
            .insert((Kind::RequestDrop, "syn-queue-full".into()), dropped);
        signals
            .causes
            .insert((Kind::CookieSent, "syn-queue-full".into()), cookies);
        signals.members.push(Member {
            limit: 16,
            established,
            ..Member::default()
        });
        found(&signals)
    };
    assert_eq!(of(0, 0, 500, 1), ["syn-flood"]);
    assert_eq!(of(0, 500, 0, 0), ["syn-flood"]);
    assert_eq!(of(900, 0, 500, 1), ["legitimate-burst"]);
    assert_eq!(of(3, 5, 0, 0), ["cookies-off"]);
    assert_eq!(of(900, 0, 0, 1), [""; 0]);
    // Nobody knows then how many were established.
    let mut signals = Signals::default();
    let beyond = (Kind::RequestDrop, "syn-queue-full".to_owned());
    signals.causes.insert(beyond, 500);
    assert_eq!(found(&signals), ["undetermined"]);
}

/// Requests of a flood that had room expire, which is no loss on the way.
#[test]
fn flood_that_expires() {
    let mut signals = Signals {
        members: vec![Member {
            limit: 16,
            ..Member::default()
        }],
        ..Signals::default()
    };
    let expired = (Kind::RequestExpired, "no-ack".to_owned());
    let beyond = (Kind::CookieSent, "syn-queue-full".to_owned());
    signals.causes.extend([(expired, 16), (beyond, 500)]);
    assert_eq!(found(&signals), ["syn-flood"]);
}

#[test]
fn a_sound_listener_has_no_verdict() {
    let mut signals = burst();
    signals.causes.clear();
    signals.refusals = 0;
    signals.members[0].refusals = 0;
    assert!(diagnose(&signals).verdicts.is_empty());
    assert!(diagnose(&Signals::default()).verdicts.is_empty());
}

#[test]
fn each_verdict_is_described() {
    for id in ids() {
        assert!(DOCS.contains(&format!("\n## {id}\n")), "{id}");
    }
    let described = DOCS.lines().filter_map(|line| line.strip_prefix("## "));
    for id in described {
        assert!(ids().any(|known| known == id), "{id}");
    }
}

#[test]
fn what_explains_comes_before_what_it_explains() {
    for (n, rule) in RULES.iter().enumerate() {
        for explained in rule.explains {
            let place = RULES.iter().position(|rule| rule.id == *explained);
            assert!(
                place.is_some_and(|place| place > n),
                "{} {explained}",
                rule.id
            );
        }
    }
}

/// That no hook tells of something is not that it did not happen.
#[test]
fn blind_rules_abstain() {
    for (name, ids) in [
        ("request-expired", &["path-loss"][..]),
        (
            "packet-drop",
            &[
                "rejected-by-firewall",
                "timestamps-rejected",
                "dropped-by-kernel",
            ],
        ),
        ("listener-closed", &["listener-closed-with-queue"]),
        (
            "refused",
            &["listener-elsewhere", "listener-restarting", "no-listener"],
        ),
    ] {
        let mut signals = Signals::default();
        let abstains = |signals: &Signals| {
            let abstained = diagnose(signals).abstained;
            ids.iter().all(|id| abstained.contains(id))
        };
        assert!(!abstains(&signals), "{name}");
        signals.blind.push(name);
        assert!(abstains(&signals), "{name}");
    }
}

#[test]
fn full_tables_and_rules_that_drop() {
    let with = |conntrack, untracked, is_host_unread| {
        let dropped = (Kind::PacketDrop, "netfilter-drop".to_owned());
        let signals = Signals {
            causes: Causes::from([(dropped, 40)]),
            conntrack,
            untracked,
            is_host_unread,
            ..Signals::default()
        };
        found(&signals)
    };
    let of = |conntrack, untracked| with(conntrack, untracked, false);
    assert_eq!(of(Some((100, 100)), Some(40)), ["conntrack-full"]);
    assert_eq!(of(Some((95, 100)), Some(99)), ["conntrack-full"]);
    assert_eq!(of(Some((100, 100)), None), ["conntrack-full"]);
    // The rule drops, whether or not there is room.
    assert_eq!(of(Some((100, 100)), Some(3)), ["rejected-by-firewall"]);
    assert_eq!(of(Some((5, 100)), Some(40)), ["rejected-by-firewall"]);
    assert_eq!(of(Some((95, 100)), None), ["rejected-by-firewall"]);
    assert_eq!(of(None, None), ["rejected-by-firewall"]);
    assert_eq!(with(None, None, true), ["undetermined"]);
}

#[test]
fn stopped_at_all_looks_but_one() {
    let unknown = "undetermined";
    for (stopped, looks, id) in [(8, 9, "acceptor-stopped"), (7, 9, unknown), (6, 7, unknown)] {
        let mut signals = pinned();
        (thread(&mut signals).stopped, thread(&mut signals).looks) = (stopped, looks);
        assert_eq!(found(&signals), [id]);
    }
}
