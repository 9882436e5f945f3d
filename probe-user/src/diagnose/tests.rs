use proptest::prelude::*;

use super::*;
use crate::decode::Kind;

const DOCS: &str = include_str!("../../../docs/verdicts.md");

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

fn found(signals: &Signals) -> Vec<&'static str> {
    diagnose(signals)
        .verdicts
        .iter()
        .map(|verdict| verdict.id)
        .collect()
}

/// What makes a cause, and the verdict on it.
type Case = (&'static str, Signals, fn(&mut Signals));

fn cases() -> Vec<Case> {
    vec![
        ("backlog-zero", pinned(), |s| s.members[0].limit = 0),
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
            thread(s).cpu = Some(0.97)
        }),
        ("acceptor-saturated", pinned(), |s| {
            thread(s).cpu = Some(0.6);
            thread(s).delayed = Some(0.35);
        }),
        ("acceptor-starved", pinned(), |s| {
            thread(s).delayed = Some(0.7)
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
        ("reuseport-imbalance", burst(), |s| {
            s.members.push(Member {
                cookie: 2,
                limit: 16,
                accepted: Some(50),
                looks: 20,
                peak: 2,
                ..Member::default()
            });
        }),
        ("backlog-too-small", burst(), |_| {}),
        ("somaxconn-clamps-backlog", burst(), |s| {
            s.sysctls.somaxconn = Some(16);
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
        ("undetermined", pinned(), |s| {
            thread(s).blocked = 20;
            s.processes[0].is_whole = false;
        }),
        // Its signals contradict each other, or are not there.
        ("undetermined", pinned(), |_| {}),
        ("undetermined", pinned(), |s| s.processes.clear()),
        ("undetermined", pinned(), |s| s.members.clear()),
        ("undetermined", burst(), |s| s.sysctls.somaxconn = None),
        ("undetermined", burst(), |s| s.members[0].drained_looks = 5),
    ]
}

#[test]
fn one_cause_one_verdict() {
    for (n, (expected, mut signals, cause)) in cases().into_iter().enumerate() {
        cause(&mut signals);
        assert_eq!(found(&signals), [expected], "case {n}");
    }
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

prop_compose! {
    fn any_thread()(
        looks in 0..30_u32, stopped in 0..30_u32, blocked in 0..30_u32, waiting in 0..30_u32,
        cpu in proptest::option::of(0.0..1.0), delayed in proptest::option::of(0.0..1.0),
    ) -> Thread {
        Thread { looks, stopped, blocked, waiting, cpu, delayed, ..Thread::default() }
    }
}

prop_compose! {
    fn any_member()(
        cookie in 0..9_u64, limit in 0..40_u32, refusals in 0..99_u64, accepted in proptest::option::of(0..99_u64),
        looks in 0..30_u32, full_looks in 0..30_u32, drained_looks in 0..30_u32,
        accepted_while_full in proptest::option::of(0..9_u64), owners in 0..3_usize, polled: Option<bool>,
    ) -> Member {
        Member {
            cookie, limit, refusals, accepted, looks, full_looks, drained_looks, accepted_while_full, owners, polled,
            ..Member::default()
        }
    }
}

proptest! {
    #[test]
    fn never_a_verdict_without_evidence(
        members in proptest::collection::vec(any_member(), 0..4),
        threads in proptest::collection::vec(any_thread(), 0..4),
        overflows in 0..3_u64, refused in 0..3_u64, fds in proptest::option::of((0..9_u64, 0..9_u64)),
        somaxconn in proptest::option::of(0..40_u32), throttled in proptest::option::of((0.0..1.0, 0..9_u64)),
    ) {
        let mut signals = Signals { members, refusals: overflows, ..Signals::default() };
        signals.causes.insert((Kind::Overflow, "accept-queue-full".into()), overflows);
        signals.causes.insert((Kind::Refused, "no-listener".into()), refused);
        signals.sysctls.somaxconn = somaxconn;
        let cgroup = Some(Cgroup { throttled, ..Cgroup::default() });
        signals.processes.push(Process { threads, fds, cgroup, ..Process::default() });
        let diagnosis = diagnose(&signals);
        for verdict in &diagnosis.verdicts {
            prop_assert!(!verdict.evidence.is_empty(), "{}", verdict.id);
        }
        let of_overflow = diagnosis.verdicts.iter().filter(|verdict| rules::explains_overflow(verdict.id));
        prop_assert!(of_overflow.count() == 0 || overflows > 0);
        prop_assert_eq!(overflows + refused == 0, diagnosis.verdicts.is_empty());
    }
}
