//! Looks beside the events, which are in recordings only: what a line says of one that other programs may ask for. All
//! of it is in its item.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::Serialize;

use super::{Cookie, Item, NetnsView, Reporter, append_line};
use crate::model::{Line, Observed, ToldAnswer, ToldVerdict, intern::Name};

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum View<'a> {
    ObservedQueue {
        ts: String,
        netns: u32,
        addr: SocketAddr,
        cookie: Cookie,
        accept_queue_len: u32,
        accept_queue_limit: u32,
    },
    ObservedProcess {
        ts: String,
        pid: u32,
        comm: &'a str,
        threads: usize,
    },
    HostFacts {
        ts: String,
        netns: u32,
        somaxconn: Option<u32>,
        syncookies: Option<u32>,
        abort_on_overflow: Option<u32>,
        max_syn_backlog: Option<u32>,
    },
    KernelLog {
        ts: String,
        says: &'a str,
    },
    Counters {
        ts: String,
        since: String,
        #[serde(flatten)]
        netns: NetnsView<'a>,
        moved: &'a BTreeMap<Name, u64>,
    },
    Before {
        ts: String,
        listeners: usize,
    },
    Around {
        ts: String,
        port: u16,
        redirects: Option<usize>,
    },
    Tried {
        ts: String,
        to: Option<SocketAddr>,
        outcome: &'a str,
    },
    Answered {
        ts: String,
        version: &'a str,
        target: &'a str,
        client: Option<&'a str>,
        verdicts: &'a [ToldVerdict],
        answers: &'a [ToldAnswer],
        doubts: &'a [String],
    },
    Verified {
        ts: String,
        version: &'a str,
        listener: &'a str,
        verdict: &'a str,
        reasons: &'a [String],
    },
    Ran {
        ts: String,
        version: &'a str,
        command: &'a [String],
        status: u8,
        verdict: &'a str,
        doubts: &'a [String],
    },
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    view: View<'a>,
    item: Item<'a>,
}

pub(super) fn write(reporter: &Reporter, seen: &Observed, line: &Line<'_>, to: &mut String) {
    if !reporter.is_whole {
        return;
    }
    let mono_ns = seen.mono_ns();
    let whole = Whole {
        view: view(reporter, seen),
        item: Item {
            mono_ns,
            what: line,
        },
    };
    append_line(to, &whole);
}

fn view<'a>(reporter: &Reporter, seen: &'a Observed) -> View<'a> {
    let ts = reporter.clock.at(seen.mono_ns()).to_string();
    match seen {
        Observed::Queue(queue) => View::ObservedQueue {
            ts,
            netns: queue.netns,
            addr: queue.snapshot.addr,
            cookie: Cookie(queue.snapshot.cookie),
            accept_queue_len: queue.snapshot.accept_queue_len,
            accept_queue_limit: queue.snapshot.accept_queue_limit,
        },
        Observed::Process(seen) => View::ObservedProcess {
            ts,
            pid: seen.process.pid,
            comm: &seen.process.comm,
            threads: seen.process.threads.len(),
        },
        Observed::Host(facts) => View::HostFacts {
            ts,
            netns: facts.netns,
            somaxconn: facts.sysctls.somaxconn,
            syncookies: facts.sysctls.syncookies,
            abort_on_overflow: facts.sysctls.abort_on_overflow,
            max_syn_backlog: facts.sysctls.max_syn_backlog,
        },
        Observed::Log(line) => View::KernelLog {
            ts,
            says: &line.says,
        },
        Observed::Counters(moved) => View::Counters {
            ts,
            since: reporter.clock.at(moved.since_ns).to_string(),
            netns: NetnsView::of(moved.netns, moved.netns_name.as_deref()),
            moved: &moved.moved,
        },
        Observed::Before(now) => View::Before {
            ts,
            listeners: now.listeners.len(),
        },
        Observed::Around(around) => View::Around {
            ts,
            port: around.port,
            redirects: around.redirects.as_ref().map(Vec::len),
        },
        Observed::Tried(tried) => View::Tried {
            ts,
            to: tried.to,
            outcome: &tried.outcome,
        },
        Observed::Answered(answered) => View::Answered {
            ts,
            version: &answered.version,
            target: &answered.target,
            client: answered.client.as_deref(),
            verdicts: &answered.verdicts,
            answers: &answered.answers,
            doubts: &answered.doubts,
        },
        Observed::Verified(verified) => View::Verified {
            ts,
            version: &verified.version,
            listener: &verified.listener,
            verdict: &verified.verdict,
            reasons: &verified.reasons,
        },
        Observed::Ran(ran) => View::Ran {
            ts,
            version: &ran.version,
            command: &ran.command,
            status: ran.ended.status(),
            verdict: &ran.dropped,
            doubts: &ran.doubts,
        },
    }
}

#[cfg(test)]
pub(in crate::sink) mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        model::{
            Answered, Clock, CountersMoved, Ended, HostFacts, LogLine, Now, ObservedCgroup,
            ObservedProcess, ObservedQueue, Origin, ToldRan, ToldVerified, Tried, WithoutListener,
            around::{Around, Ends, How, Redirect, Sources, Wait},
            hold::{Hold, Served},
            process::{Process, Thread},
            socket::{HalfOpen, ListenerSnapshot},
            stall::Stall,
            sysctls::Sysctls,
            tier::Tier,
        },
        sink::Format,
        source::replay::parse,
    };

    fn around() -> Around {
        let server = ([127, 0, 0, 1], 80).into();
        Around {
            mono_ns: 9,
            port: 80,
            redirects: Some(vec![Redirect {
                netns: 4,
                netns_name: None,
                how: How::Translated,
                from: server,
                to: ([127, 0, 0, 1], 81).into(),
                connections: 3,
                unanswered: 2,
                listeners: Vec::new(),
                unasked: true,
            }]),
            ends: vec![Ends {
                netns: 4,
                waits: vec![Wait {
                    comm: "a".into(),
                    pid: 5,
                    to: server,
                    connections: 1,
                    resent: 1,
                }],
                sources: vec![Sources {
                    from: server.ip(),
                    to: server,
                    taken: 2,
                    time_wait: 1,
                    reuses: Some(true),
                }],
                port_range: Some((1024, 1025)),
                ..Ends::default()
            }],
            unread: vec!["why".into()],
        }
    }

    fn hold() -> Hold {
        Hold {
            pid: 5,
            fds: vec![6],
            nonblocking: Some(true),
            epolls: vec![(4, 0x19)],
            has_others: false,
        }
    }

    fn served() -> Served {
        Served {
            connections: 1,
            sleepers: vec![(5, ([10, 0, 0, 1], 7).into())],
        }
    }

    /// One look of each kind.
    #[allow(clippy::too_many_lines, reason = "it is one list")]
    pub(crate) fn every_kind() -> Vec<Observed> {
        let thread = Thread {
            tid: 5,
            comm: "a".into(),
            state: 'S',
            ran_ns: Some(1),
            waited_ns: None,
            syscall: Some("futex".into()),
            waits_for_lock: true,
            wchan: Some("futex_wait_queue".into()),
            fd: Some(6),
            socket: Some(7),
            polled: Some(vec![6]),
            futex: Some(9),
        };
        vec![
            Observed::Queue(Box::new(ObservedQueue {
                look: 3,
                netns: 4,
                snapshot: ListenerSnapshot::sample(),
                owners: Arc::from([]),
                owners_in_all: 2,
                polls: vec![(5, true)],
                accepted: Some(vec![5]),
                inherited: vec![6],
                holds: vec![hold()],
                served: Some(served()),
                half_open: Some(HalfOpen::default()),
                parents: Vec::new(),
            })),
            Observed::Process(Box::new(ObservedProcess {
                look: 3,
                process: Process {
                    pid: 5,
                    comm: "a".into(),
                    taken_ns: 6,
                    threads: vec![thread],
                    has_more: true,
                    fds: Some((3, 1024)),
                },
                cgroup: Some(ObservedCgroup {
                    path: "/a".into(),
                    stall: Stall::default(),
                }),
                awaits: Some(vec![(5, crate::model::Awaits::File("/a".into()))]),
            })),
            Observed::Host(Box::new(HostFacts {
                mono_ns: 8,
                netns: 4,
                sysctls: Sysctls {
                    somaxconn: Some(4096),
                    ..Sysctls::default()
                },
                conntrack: Some((1, 2)),
                untracked: None,
                put_off: Some(3),
                unread: vec!["why".into()],
            })),
            Observed::Log(LogLine {
                mono_ns: 9,
                says: "TCP: flood".into(),
            }),
            Observed::Counters(Box::new(moved())),
            Observed::Before(Box::new(Now {
                mono_ns: 9,
                target: ":80".into(),
                only: Some(4),
                ..Now::default()
            })),
            Observed::Around(Box::new(around())),
            Observed::Tried(Tried {
                mono_ns: 10,
                to: None,
                took: Duration::from_millis(3),
                outcome: "connected".into(),
            }),
            Observed::Answered(Box::new(Answered {
                mono_ns: 11,
                version: "1".into(),
                target: ":80".into(),
                client: None,
                verdicts: Vec::new(),
                ruled_out: vec![("a".into(), "b".into())],
                abstained: Vec::new(),
                answers: vec![ToldAnswer {
                    netns: Some(4),
                    addr: Some(([127, 0, 0, 1], 80).into()),
                    verdicts: Vec::new(),
                    ruled_out: vec![("a".into(), "b".into())],
                    abstained: Vec::new(),
                }],
                doubts: Vec::new(),
                early: None,
            })),
            Observed::Verified(Box::new(ToldVerified {
                mono_ns: 12,
                clock: Clock::of(5),
                version: "1".into(),
                listener: ":80".into(),
                asked: Duration::from_secs(3),
                listening_in: vec![4],
                unasked: Vec::new(),
                verdict: "held".into(),
                reasons: vec!["why".into()],
                headroom: Some(0.5),
                at_least: None,
            })),
            Observed::Ran(Box::new(ToldRan {
                mono_ns: 13,
                clock: Clock::of(5),
                own_netns: 4,
                version: "1".into(),
                command: vec!["true".into()],
                ended: Ended::Code(7),
                lasted: Duration::from_millis(3),
                dropped: "nothing-dropped".into(),
                doubts: Vec::new(),
                without_listener: vec![WithoutListener {
                    listener: ":9".into(),
                    unasked: Vec::new(),
                }],
                listening_in: Some(vec![4]),
                own_clients: vec![std::net::Ipv4Addr::LOCALHOST.into()],
                unasked_clients: vec!["why".into()],
            })),
        ]
    }

    fn moved() -> CountersMoved {
        CountersMoved {
            mono_ns: 9,
            since_ns: 2,
            netns: 4,
            netns_name: None,
            moved: [("ListenOverflows", 3)].into(),
        }
    }

    #[test]
    fn every_look_comes_back_from_a_recording_and_is_in_no_other_line() {
        let mut printed = Reporter::new(
            Format::Json,
            Tier::Cgroup,
            0,
            Clock::of(0),
            Origin::default(),
        );
        let mut text = Reporter::new(
            Format::Text,
            Tier::Cgroup,
            0,
            Clock::of(0),
            Origin::default(),
        );
        let mut whole = Reporter {
            is_whole: true,
            ..Reporter::new(
                Format::Json,
                Tier::Cgroup,
                0,
                Clock::of(0),
                Origin::default(),
            )
        };
        for seen in every_kind() {
            let line = Line::Observed(&seen);
            let mut told = String::new();
            printed.write(0, &line, &mut told);
            text.write(0, &line, &mut told);
            assert_eq!(told, "");
            whole.write(seen.mono_ns(), &line, &mut told);
            let back = parse(told.as_bytes());
            let Ok(Some(back)) = back else {
                panic!("{told} is {back:?}");
            };
            assert_eq!(back.mono_ns(), seen.mono_ns(), "{told}");
            let Line::Observed(back) = back.line() else {
                panic!("{told} is {back:?}");
            };
            assert_eq!(format!("{back:?}"), format!("{seen:?}"), "{told}");
        }
    }
}
