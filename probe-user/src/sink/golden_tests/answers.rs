//! What `why`, `run`, `verify` and `list` answer, with everything in it that may be, and with as little as may be.

use std::{sync::Arc, time::Duration};

use super::{
    TOLD_NS,
    against::against,
    check,
    lines::{empty, full, tally},
};
use crate::{
    listing,
    model::{
        self, Answer, Clock, Diagnosed, Dropped, Early, Ended, Found, Holding, Hurt,
        ListenerAnswer, Listening, Missing, Moments, Now, OfClient, Origin, Others, Ran, Seen,
        ThreadState, TopClient, Tried, Verified,
        astray::Astray,
        cgroup::Cgroup,
        incident::{Depth, Gap, Incident, Place, Rates, Told},
        kind::Kind,
        netns_name::NetnsName,
        observation::Snapshot,
        signals::Signals,
        socket::ListenerSnapshot,
        sysctls::{ListenSysctls, Sysctls},
        tier::Tier,
        verdict::{Confidence, Diagnosis, Evidence, RuledOut, Verdict},
    },
    sink::{
        Format,
        answer::AnswerFormat,
        event_tests::{AT_NS, OWN_NETNS, addr, owner, reporter, snapshot},
        listing as write_listing,
    },
};

const MS: u64 = 1_000_000;

fn listener(bound: &str) -> ListenerSnapshot {
    match snapshot(bound) {
        Snapshot::Listener(listener) => listener,
        Snapshot::Connection(_) => unreachable!("a listener's"),
    }
}

fn place() -> Place {
    Place {
        netns: 4_026_532_999,
        addr: addr("0.0.0.0:8080"),
    }
}

fn incident() -> Incident {
    let depth = |at_ms: u64, len| Depth {
        at_ns: AT_NS + at_ms * MS,
        len,
        limit: 128,
    };
    Incident {
        place: place(),
        start_ns: AT_NS,
        end_ns: AT_NS + 450 * MS,
        is_end_exact: false,
        causes: [("overflow/accept-queue-full".to_owned(), 70)].into(),
        listeners: [(0x1f, 70)].into(),
        clients: 3,
        clients_exact: false,
        depth: vec![depth(0, 129), depth(50, 129), depth(150, 4)],
        step_ns: 50 * MS,
        accepted: Rates {
            before: Some(20.0),
            during: Some(0.5),
            after: None,
        },
        gap: Some(Gap {
            from_ns: AT_NS - 12 * MS,
            to_ns: AT_NS + 400 * MS,
            at_least: true,
        }),
        precision_ns: 100 * MS,
        doing: [
            (ThreadState::Stopped, 9),
            (
                ThreadState::Asleep {
                    syscall: "clock_nanosleep".into(),
                    for_lock: false,
                    wchan: Some("hrtimer_nanosleep".into()),
                },
                1,
            ),
        ]
        .into(),
    }
}

fn unknown_incident() -> Incident {
    Incident {
        is_end_exact: true,
        clients_exact: true,
        depth: Vec::new(),
        accepted: Rates::default(),
        gap: None,
        doing: Default::default(),
        ..incident()
    }
}

fn diagnosis() -> Diagnosis {
    Diagnosis {
        verdicts: vec![Verdict {
            id: "acceptor-stopped",
            confidence: Confidence::Likely,
            says: "the process that is to accept is stopped",
            evidence: vec![Evidence {
                says: "thread nginx[4321] was stopped at 9 of 10 looks".into(),
                from: "/proc/PID/task",
            }],
            advice: vec![
                "let it go on: kill -CONT PID".into(),
                "find out who stopped it".into(),
            ],
        }],
        ruled_out: vec![RuledOut {
            id: "acceptor-blocked",
            why: "no thread slept in anything else".into(),
        }],
        abstained: vec!["acceptor-starved"],
    }
}

fn told() -> Told {
    Told {
        incidents: vec![incident(), unknown_incident()],
        let_go: 2,
    }
}

fn listening(bound: &str) -> Listening {
    Listening {
        netns: 4_026_532_999,
        netns_name: Some(NetnsName::Given("blue".into()).into()),
        owner: Arc::from([owner(4321, "nginx", Some("/usr/sbin/nginx"))]),
        cgroup: Some(Arc::new(Cgroup::of("/system.slice/nginx.service".into()))),
        snapshot: listener(bound),
    }
}

fn overflows() -> model::Causes {
    [((Kind::Overflow, "accept-queue-full".into()), 141)].into()
}

fn holding(cookie: u64, refusals: u64) -> Holding {
    let one = listening("0.0.0.0:8080");
    Holding {
        cookie,
        owner: one.owner,
        cgroup: one.cgroup,
        refusals,
    }
}

fn full_part() -> ListenerAnswer {
    ListenerAnswer {
        place: Some(place()),
        members: vec![holding(0x1f, 141)],
        others: Others::default(),
        signals: Signals {
            watched: Duration::from_secs(30),
            causes: overflows(),
            refusals: 141,
            clients: 3,
            ..Signals::default()
        },
        diagnosis: diagnosis(),
        first_drop_ns: Some(AT_NS),
        top_clients: vec![TopClient {
            addr: addr("10.0.0.1:0").ip(),
            refusals: 70,
        }],
    }
}

fn group() -> ListenerAnswer {
    ListenerAnswer {
        place: Some(Place {
            addr: addr("127.0.0.2:8080"),
            netns: OWN_NETNS,
        }),
        members: vec![
            holding(0x20, 9),
            Holding {
                owner: Arc::from([]),
                cgroup: None,
                ..holding(0x21, 0)
            },
        ],
        others: Others {
            are_in_turn: false,
            listeners: 3,
            refusals: 0,
        },
        ..full_part()
    }
}

fn nobody() -> ListenerAnswer {
    ListenerAnswer {
        place: Some(Place {
            addr: addr("127.0.0.3:8080"),
            netns: OWN_NETNS,
        }),
        members: Vec::new(),
        others: Others::default(),
        signals: Signals {
            causes: [((Kind::Refused, "no-listener".into()), 2)].into(),
            clients: 1,
            ..Signals::default()
        },
        diagnosis: Diagnosis::default(),
        first_drop_ns: None,
        top_clients: Vec::new(),
    }
}

fn unplaced() -> ListenerAnswer {
    ListenerAnswer {
        place: None,
        ..nobody()
    }
}

pub(super) fn full_answer() -> Answer {
    Answer {
        origin: Origin {
            host: "a.example".into(),
            boot_id: None,
            kernel: "6.18.0".into(),
            command: ["whydrop", "why", ":8080"].map(str::to_owned).into(),
        },
        mono_ns: TOLD_NS,
        clock: Clock::ahead(1_795_000_000_000_000_000),
        target: ":8080".into(),
        client: Some(OfClient {
            who: "10.0.0.0/8".into(),
            untold: 2,
        }),
        now: Some(Now {
            netns: 4_026_532_999,
            listeners: vec![listening("0.0.0.0:8080")],
            elsewhere: vec![listening("127.0.0.1:8080")],
            sysctls: Sysctls {
                somaxconn: Some(128),
                syncookies: Some(1),
                abort_on_overflow: Some(0),
                max_syn_backlog: None,
            },
            kernel_log: vec!["TCP: Possible SYN flooding on port 0.0.0.0:8080.".into()],
            unasked: vec!["namespace 7: permission denied".into()],
            ..Now::default()
        }),
        seen: Seen {
            watched: Duration::from_secs(30),
            causes: overflows(),
            refusals: 141,
            clients: 3,
            ..Seen::default()
        },
        answers: vec![full_part(), group(), nobody(), unplaced()],
        quiet: 3,
        abstained: vec!["conntrack-full"],
        own_netns: OWN_NETNS,
        incidents: told(),
        first_drop: Some(Duration::from_millis(1200)),
        tried: Some(Tried {
            mono_ns: TOLD_NS,
            to: Some(addr("127.0.0.1:8080")),
            took: Duration::from_millis(3),
            outcome: "connected".into(),
        }),
        early: Some(Early {
            of: Duration::from_mins(1),
            same_for: Duration::from_millis(3_020),
        }),
        tier: Tier::Cgroup,
        lost: 1,
        netns_names: full().netns_names,
        notes: vec!["3 half-open requests were reset by the client".into()],
        doubts: vec!["namespace 7 could not be read".into()],
        is_recorded: false,
        missing: vec!["the sysctls of netns 7".into()],
        kernel_log: Vec::new(),
    }
}

pub(super) fn empty_answer() -> Answer {
    Answer {
        client: None,
        now: Some(Now::default()),
        seen: Seen {
            watched: Duration::from_secs(30),
            accepted: 0,
            adds_up: true,
            ..Seen::default()
        },
        answers: Vec::new(),
        quiet: 0,
        incidents: Told {
            incidents: Vec::new(),
            let_go: 0,
        },
        first_drop: None,
        tried: None,
        early: None,
        lost: 0,
        notes: Vec::new(),
        doubts: Vec::new(),
        missing: Vec::new(),
        ..full_answer()
    }
}

#[test]
fn an_answer_looks_as_it_did() {
    let forms = [
        (AnswerFormat::Text, "txt"),
        (AnswerFormat::Json, "jsonl"),
        (AnswerFormat::Markdown, "md"),
    ];
    for (format, form) in forms {
        for (answer, file) in [(full_answer(), "why"), (empty_answer(), "why-nothing")] {
            let mut text = String::new();
            if format == AnswerFormat::Text {
                answer.now.iter().for_each(|now| now.write(&mut text));
            }
            answer.write(format, &mut text);
            check(&format!("{file}.{form}"), &text);
        }
    }
    let mut text = String::new();
    full_answer().write_scene("acceptor-frozen", &["acceptor-stopped"], &mut text);
    check("scene.jsonl", &text);
}

fn full_ran() -> Ran {
    let moments = Moments {
        first_ns: AT_NS,
        last_ns: AT_NS + 450 * MS,
        busiest: (AT_NS, 69),
        exact: false,
        clients: 3,
        clients_exact: false,
        accept_queue: (129, 128),
        syn_queue_len: 2,
    };
    let hurt = |moments| Hurt {
        tally: tally(),
        moments,
    };
    Ran {
        command: vec!["curl".into(), "http://a.example:8080/".into()],
        lasted: Duration::from_millis(2500),
        ended: Ended::Signal(9),
        status: 137,
        filters: vec!["listener :8080".into()],
        dropped: Dropped::Something,
        doubts: vec!["counters of namespace 7 could not be read".into()],
        hurt: vec![hurt(Some(moments)), hurt(None)],
        astray: Astray::sample(),
        candidates: vec!["0.0.0.0:8080 nginx[4321]".into()],
        diagnosed: Some(Diagnosed {
            answers: vec![full_part()],
            more_places: 3,
            incidents: told(),
        }),
        summary: full(),
        against: Some(against()),
    }
}

#[test]
fn a_report_of_run_looks_as_it_did() {
    let nothing = Ran {
        ended: Ended::Code(0),
        status: 0,
        filters: Vec::new(),
        dropped: Dropped::Nothing,
        doubts: Vec::new(),
        hurt: Vec::new(),
        astray: Astray::default(),
        candidates: Vec::new(),
        diagnosed: None,
        summary: empty(),
        against: None,
        ..full_ran()
    };
    for (format, form) in [(Format::Text, "txt"), (Format::Json, "jsonl")] {
        for (ran, file) in [(full_ran(), "run"), (nothing.clone(), "run-nothing")] {
            let mut text = String::new();
            reporter(format).write_ran(TOLD_NS, &ran, &mut text);
            check(&format!("{file}.{form}"), &text);
        }
    }
}

#[test]
fn a_verdict_of_verify_looks_as_it_did() {
    let held = Verified {
        listener: ":8080".into(),
        asked: Duration::from_mins(1),
        verdict: model::Verdict::Held,
        reasons: vec!["110 connections came, none was refused".into()],
        notes: vec!["it ended early".into()],
        namespaces: vec![4_026_532_999],
        established: 110,
        accepted: Some(100),
        summary: empty(),
        against: None,
    };
    let not_held = Verified {
        verdict: model::Verdict::NotHeld,
        reasons: vec![
            "70 refusals".into(),
            "the accept queue came to its limit".into(),
        ],
        notes: Vec::new(),
        accepted: None,
        summary: full(),
        against: Some(against()),
        ..held.clone()
    };
    for (format, form) in [(Format::Text, "txt"), (Format::Json, "jsonl")] {
        for (verified, file) in [(&held, "verify"), (&not_held, "verify-not-held")] {
            let mut text = String::new();
            reporter(format).write_verified(TOLD_NS, verified, &mut text);
            check(&format!("{file}.{form}"), &text);
        }
    }
}

#[test]
fn a_list_looks_as_it_did() {
    let found = |bound: &str, netns, cookie| Found {
        netns,
        netns_name: None,
        snapshot: ListenerSnapshot {
            cookie,
            ..listener(bound)
        },
        sysctls: ListenSysctls {
            somaxconn: Some(128),
            syncookies: Some(1),
            abort_on_overflow: Some(0),
        },
        owner: Arc::from([owner(4321, "nginx", Some("/usr/sbin/nginx"))]),
        sees_owners: true,
        cgroup: Some(Arc::new(Cgroup::of("/system.slice/nginx.service".into()))),
    };
    let unknown = Found {
        netns_name: Some(NetnsName::Given("blue".into()).into()),
        sysctls: ListenSysctls::default(),
        owner: Arc::from([]),
        sees_owners: false,
        cgroup: None,
        snapshot: ListenerSnapshot {
            drops: None,
            v6only: Some(true),
            ifindex: 3,
            ..listener("[::]:443")
        },
        ..found("[::]:443", 4_026_532_999, 9)
    };
    let all = vec![
        found("0.0.0.0:8080", OWN_NETNS, 1),
        found("0.0.0.0:8080", OWN_NETNS, 2),
        unknown,
    ];
    let missing = [Some(7), None].map(|netns| Missing {
        netns,
        netns_name: netns.map(|_| NetnsName::Given("blue".into()).into()),
        why: "it may not be entered".into(),
    });
    for (format, form) in [(Format::Text, "txt"), (Format::Json, "jsonl")] {
        let listed = listing::list(all.clone());
        check(
            &format!("list.{form}"),
            &write_listing(
                format,
                (&full_answer().origin, Some(OWN_NETNS)),
                &listed,
                &missing,
            ),
        );
        check(
            &format!("list-nothing.{form}"),
            &write_listing(format, (&full_answer().origin, Some(OWN_NETNS)), &[], &[]),
        );
    }
}
