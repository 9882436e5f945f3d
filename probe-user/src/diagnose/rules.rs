//! The one table of rules, causes before the symptoms that they explain.

use super::{
    Confidence, Diagnosis, Evidence, Signals,
    signals::{Process, Thread},
};
use crate::decode::Kind;

/// What a rule finds.
pub(super) enum Judged {
    /// Its signals are not there.
    Abstains,
    /// They are, and say no.
    No(String),
    Yes(Confidence, Vec<Evidence>),
}

pub(super) struct Rule {
    pub id: &'static str,
    pub says: &'static str,
    pub advice: &'static [&'static str],
    /// Whether it says why an accept queue was full.
    pub overflow: bool,
    /// Rules below that see what this one causes.
    pub explains: &'static [&'static str],
    pub judge: fn(&Signals) -> Judged,
}

/// A share of the time that is no accident.
const MUCH: f64 = 0.2;
/// More than that is the better part.
const HALF: f64 = 0.5;
/// A thread that does nothing else.
const FULL: f64 = 0.8;
/// SYNs beyond the SYN queue that make a flood or a burst of them.
const MANY: u64 = 50;
/// Longer than a client is likely to wait for its first byte.
const LONG_WAIT_MS: u128 = 1000;

const OF_KERNEL: &str = "the kernel's decisions";
const OF_QUEUE: &str = "sock_diag";
const OF_STATE: &str = "/proc/PID/task/TID/stat";
const OF_SLEEP: &str = "/proc/PID/task/TID/syscall, wchan";
const OF_TIMES: &str = "/proc/PID/task/TID/schedstat";
const OF_SYSCTL: &str = "/proc/sys/net";
const OF_HOOKS: &str = "hooks and sock_diag";

/// Why a full SYN queue says nothing.
const BEHIND: &str = "requests stay in the SYN queue while the accept queue is full";

const BACKLOGS: [&str; 3] = [
    "somaxconn-clamps-backlog",
    "backlog-too-small",
    "reuseport-imbalance",
];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "backlog-zero",
        says: "the application asked for a queue of 0: there is room for one connection",
        advice: &["give listen(2) a backlog of at least 128, or what your framework calls it"],
        overflow: true,
        explains: &BACKLOGS,
        judge: backlog_zero,
    },
    Rule {
        id: "acceptor-stopped",
        says: "every thread of the process that accepts was stopped or frozen",
        advice: &[
            "find who stopped it: SIGSTOP, a debugger (TracerPid in /proc/PID/status), a frozen cgroup",
            "resume it: kill -CONT PID, or write 0 to cgroup.freeze",
        ],
        overflow: true,
        explains: &[
            "acceptor-blocked",
            "accept-paused-by-application",
            "acceptor-starved",
            "reuseport-orphan",
            "somaxconn-clamps-backlog",
            "backlog-too-small",
            "reuseport-imbalance",
        ],
        judge: stopped,
    },
    Rule {
        id: "cpu-throttled",
        says: "the cgroup's CPU quota kept the process from running",
        advice: &[
            "raise cpu.max of the cgroup (the CPU limit of the container)",
            "or let the process do less: fewer threads than the quota has CPUs",
        ],
        overflow: true,
        explains: &[
            "acceptor-saturated",
            "acceptor-starved",
            "acceptor-blocked",
            "somaxconn-clamps-backlog",
            "backlog-too-small",
        ],
        judge: throttled,
    },
    Rule {
        id: "memory-stalled",
        says: "the process waited for memory",
        advice: &["raise memory.high or memory.max of the cgroup, or make the process use less"],
        overflow: true,
        explains: &[
            "acceptor-blocked",
            "acceptor-starved",
            "somaxconn-clamps-backlog",
            "backlog-too-small",
        ],
        judge: memory_stalled,
    },
    Rule {
        id: "fd-exhausted",
        says: "the process has no file descriptor left, so accept(2) fails with EMFILE",
        advice: &[
            "raise the limit: LimitNOFILE= of the unit, ulimit -n",
            "look for a leak: ls /proc/PID/fd",
        ],
        overflow: true,
        explains: &[
            "acceptor-saturated",
            "acceptor-blocked",
            "accept-paused-by-application",
            "somaxconn-clamps-backlog",
            "backlog-too-small",
        ],
        judge: fd_exhausted,
    },
    Rule {
        id: "acceptor-saturated",
        says: "a thread of the process that accepts used a whole CPU while the queue was full",
        advice: &[
            "let more threads or processes accept: more workers, SO_REUSEPORT",
            "take work out of the thread that accepts",
            "a deeper queue only makes clients wait longer",
        ],
        overflow: true,
        explains: &[
            "acceptor-starved",
            "acceptor-blocked",
            "somaxconn-clamps-backlog",
            "backlog-too-small",
        ],
        judge: saturated,
    },
    Rule {
        id: "acceptor-starved",
        says: "the process was runnable and got no CPU",
        advice: &[
            "give it CPU: fewer neighbours, a higher cpu.weight or a lower nice value",
            "look who runs instead: pidstat -u 1",
        ],
        overflow: true,
        explains: &[
            "acceptor-blocked",
            "somaxconn-clamps-backlog",
            "backlog-too-small",
        ],
        judge: starved,
    },
    Rule {
        id: "reuseport-orphan",
        says: "one member of the SO_REUSEPORT group has nobody who accepts from it",
        advice: &[
            "close the socket: an old worker, or a child that inherited it, still holds it",
            "net.ipv4.tcp_migrate_req=1 moves what is in a queue when its listener closes (5.14 and later)",
        ],
        overflow: true,
        explains: &[
            "reuseport-imbalance",
            "acceptor-blocked",
            "accept-paused-by-application",
            "somaxconn-clamps-backlog",
            "backlog-too-small",
        ],
        judge: orphan,
    },
    Rule {
        id: "accept-paused-by-application",
        says: "the application waits for files, and the listener is not among them: it has stopped accepting on purpose",
        advice: &[
            "look for its limit of connections (maxconn, worker_connections, max_conn) and raise it if the host can carry more",
        ],
        overflow: true,
        explains: &[
            "acceptor-blocked",
            "somaxconn-clamps-backlog",
            "backlog-too-small",
        ],
        judge: paused,
    },
    Rule {
        id: "acceptor-blocked",
        says: "every thread of the process slept in something that is not accept(2) while its queue was full",
        advice: &[
            "find what it waits for: the system call above, its stack in /proc/PID/stack, a lock, a slow disk or backend",
            "move what blocks to another thread than the one that accepts",
        ],
        overflow: true,
        explains: &["somaxconn-clamps-backlog", "backlog-too-small"],
        judge: blocked,
    },
    Rule {
        id: "reuseport-imbalance",
        says: "one member of the SO_REUSEPORT group was full while the others had room",
        advice: &[
            "spread connections: more members, a BPF selector (SO_ATTACH_REUSEPORT_EBPF), or one shared listener",
        ],
        overflow: true,
        explains: &["somaxconn-clamps-backlog", "backlog-too-small"],
        judge: imbalance,
    },
    Rule {
        id: "somaxconn-clamps-backlog",
        says: "bursts were longer than the queue, whose limit is that of net.core.somaxconn",
        advice: &[
            "raise net.core.somaxconn in the namespace of the listener (a container has its own)",
            "check that the application asks for more than that, and restart it: listen(2) takes the limit once",
        ],
        overflow: true,
        explains: &["backlog-too-small"],
        judge: clamped,
    },
    Rule {
        id: "backlog-too-small",
        says: "bursts were longer than the queue, and the application drained it each time",
        advice: &[
            "raise the backlog that the application gives to listen(2), and restart it",
            "net.core.somaxconn is above it already and need not be raised",
        ],
        overflow: true,
        explains: &[],
        judge: too_small,
    },
    Rule {
        id: "backlog-too-deep",
        says: "nothing was refused, and connections waited so long that their clients may be gone",
        advice: &[
            "lower the backlog, so that what cannot be served soon is refused at once",
            "accept faster",
        ],
        overflow: false,
        explains: &[],
        judge: too_deep,
    },
    Rule {
        id: "listener-closed-with-queue",
        says: "a listener was closed with connections in its queue: the kernel reset them",
        advice: &[
            "drain before closing: stop new connections elsewhere, accept what is queued, then close",
            "or hand the socket over; with SO_REUSEPORT, net.ipv4.tcp_migrate_req=1 (5.14 and later)",
        ],
        overflow: false,
        explains: &["listener-restarting"],
        judge: |signals| certain_of(signals, Kind::ListenerClosed, &["queued-connections-reset"]),
    },
    Rule {
        id: "abort-on-overflow",
        says: "clients were reset since net.ipv4.tcp_abort_on_overflow is set",
        advice: &[
            "set net.ipv4.tcp_abort_on_overflow to 0, so that clients try again",
            "then mend what keeps the queue full",
        ],
        overflow: false,
        explains: &[],
        judge: |signals| certain_of(signals, Kind::Overflow, &["abort-on-overflow"]),
    },
    Rule {
        id: "cookies-with-full-queue",
        says: "clients that came with a SYN cookie believe they are connected, and the server knows nothing of them",
        advice: &["mend what keeps the accept queue full; the SYN queue is not the cause"],
        overflow: false,
        explains: &[],
        judge: |signals| certain_of(signals, Kind::Overflow, &["ghost-connection"]),
    },
    Rule {
        id: "syn-flood",
        says: "the SYN queue overflowed with requests that nobody completed",
        advice: &[
            "keep net.ipv4.tcp_syncookies at 1",
            "drop the sources before they reach the listener: firewall, XDP",
        ],
        overflow: false,
        explains: &["legitimate-burst", "cookies-off"],
        judge: flood,
    },
    Rule {
        id: "legitimate-burst",
        says: "the SYN queue overflowed with connections that were completed: no attack",
        advice: &["raise the backlog of the listener and net.ipv4.tcp_max_syn_backlog"],
        overflow: false,
        explains: &[],
        judge: burst,
    },
    Rule {
        id: "cookies-off",
        says: "SYNs beyond the SYN queue were dropped since SYN cookies are off",
        advice: &[
            "set net.ipv4.tcp_syncookies to 1",
            "or raise the backlog and net.ipv4.tcp_max_syn_backlog",
        ],
        overflow: false,
        explains: &[],
        judge: cookies_off,
    },
    Rule {
        id: "listener-elsewhere",
        says: "somebody listens on this port, but not where clients look",
        advice: &[
            "bind to the address, device or namespace that clients use, or to :: without IPV6_V6ONLY",
        ],
        overflow: false,
        explains: &["no-listener", "listener-restarting"],
        judge: elsewhere,
    },
    Rule {
        id: "listener-restarting",
        says: "the listener was closed for a while, and clients came meanwhile",
        advice: &[
            "hand the socket over on restart (socket activation, SO_REUSEPORT with both running), or drain first",
        ],
        overflow: false,
        explains: &["no-listener"],
        judge: restarting,
    },
    Rule {
        id: "no-listener",
        says: "nobody listens on this port",
        advice: &[
            "start the server, or look at why it ended",
            "check the port that clients use",
        ],
        overflow: false,
        explains: &[],
        judge: no_listener,
    },
    Rule {
        id: "conntrack-full",
        says: "the table of connections that the firewall tracks was full",
        advice: &["raise net.netfilter.nf_conntrack_max, or track less"],
        overflow: false,
        explains: &["rejected-by-firewall"],
        judge: conntrack_full,
    },
    Rule {
        id: "rejected-by-firewall",
        says: "netfilter dropped SYNs before the listener saw them",
        advice: &["find the rule: nft list ruleset, iptables-save -c"],
        overflow: false,
        explains: &[],
        judge: |signals| certain_of(signals, Kind::PacketDrop, &["netfilter-drop"]),
    },
    Rule {
        id: "timestamps-rejected",
        says: "segments of a handshake were thrown away since their timestamps were too old",
        advice: &[
            "look for clients behind one address with different clocks (NAT), and for net.ipv4.tcp_tw_reuse",
        ],
        overflow: false,
        explains: &[],
        judge: |signals| {
            certain_of(
                signals,
                Kind::PacketDrop,
                &[
                    "tcp-rfc7323-paws",
                    "tcp-rfc7323-tsecr",
                    "tcp-rfc7323-tw-paws",
                ],
            )
        },
    },
    Rule {
        id: "memory-or-route",
        says: "the kernel had no memory or no route for the answer",
        advice: &["look at the kernel's log, free memory, and ip route get CLIENT"],
        overflow: false,
        explains: &[],
        judge: |signals| certain_of(signals, Kind::ListenDrop, &["no-memory", "no-route"]),
    },
    Rule {
        id: "path-loss",
        says: "the listener answered, and nobody acknowledged it: lost on the way, or a client that never meant to connect",
        advice: &["the listener is sound: look at the network between it and the client"],
        overflow: false,
        explains: &[],
        judge: path_loss,
    },
];

/// Whether a verdict says why an accept queue was full.
pub fn explains_overflow(id: &str) -> bool {
    RULES.iter().any(|rule| rule.id == id && rule.overflow)
}

/// Whether something was refused of which no verdict speaks.
pub(super) fn is_unexplained(signals: &Signals, diagnosis: &Diagnosis) -> bool {
    let kinds = [
        Kind::RequestDrop,
        Kind::ListenDrop,
        Kind::Refused,
        Kind::PacketDrop,
    ];
    diagnosis.verdicts.is_empty() && kinds.iter().any(|kind| signals.of_kind(*kind) > 0)
}

fn evidence(says: String, from: &'static str) -> Evidence {
    Evidence { says, from }
}

fn refused(signals: &Signals) -> Evidence {
    let from = if signals.clients == 1 {
        "one client".to_owned()
    } else {
        format!("{} clients", signals.clients)
    };
    evidence(
        format!(
            "{} refusals since the accept queue was full, of {from}",
            signals.overflows()
        ),
        OF_KERNEL,
    )
}

/// What the kernel itself names as the cause.
fn certain_of(signals: &Signals, kind: Kind, causes: &[&str]) -> Judged {
    let found: Vec<Evidence> = causes
        .iter()
        .map(|cause| (cause, signals.of(kind, cause)))
        .filter(|(_, n)| *n > 0)
        .map(|(cause, n)| evidence(format!("{n} {kind} {cause}"), OF_KERNEL))
        .collect();
    if found.is_empty() {
        Judged::No(format!("no {kind} for that cause"))
    } else {
        Judged::Yes(Confidence::Certain, found)
    }
}

/// The signals of every rule about whoever accepts: something overflowed and was looked at meanwhile.
fn pinned(signals: &Signals) -> Result<&super::Member, Judged> {
    if signals.overflows() == 0 {
        return Err(Judged::No("no accept queue overflowed".into()));
    }
    let Some(worst) = signals.worst().filter(|worst| worst.looks > 0) else {
        return Err(Judged::Abstains);
    };
    if !worst.is_pinned() {
        return Err(Judged::No(format!(
            "the queue was over its limit for {} ms at a stretch at most",
            worst.longest_full.as_millis()
        )));
    }
    Ok(worst)
}

/// The same, for what only all threads of all owners together can say.
fn pinned_with_everybody(signals: &Signals) -> Result<&super::Member, Judged> {
    let worst = pinned(signals)?;
    if signals.saw_everybody(worst) {
        Ok(worst)
    } else {
        Err(Judged::Abstains)
    }
}

fn backlog_zero(signals: &Signals) -> Judged {
    let Some(worst) = signals.worst() else {
        return Judged::Abstains;
    };
    if worst.limit > 0 {
        return Judged::No(format!("the limit is {}", worst.limit));
    }
    let happened = signals.refusals + signals.of_kind(Kind::CookieSent);
    if happened == 0 {
        return Judged::No("nothing was refused".into());
    }
    Judged::Yes(
        Confidence::Certain,
        vec![
            evidence("the limit of the accept queue is 0".into(), OF_QUEUE),
            evidence(format!("{happened} refusals and cookies"), OF_KERNEL),
        ],
    )
}

fn stopped(signals: &Signals) -> Judged {
    if let Err(no) = pinned_with_everybody(signals) {
        return no;
    }
    let looked: Vec<&Process> = signals
        .processes
        .iter()
        .filter(|process| process.threads.iter().any(|thread| thread.looks >= 3))
        .collect();
    if looked.is_empty() {
        return Judged::Abstains;
    }
    let frozen = |process: &Process| {
        process
            .cgroup
            .as_ref()
            .is_some_and(|cgroup| cgroup.looks >= 3 && cgroup.frozen * 10 >= cgroup.looks * 9)
    };
    let all_stopped = |process: &Process| {
        process
            .threads
            .iter()
            .all(|thread| thread.stopped * 10 >= thread.looks * 9)
    };
    if !looked
        .iter()
        .all(|process| frozen(process) || all_stopped(process))
    {
        return Judged::No("a thread of the owner was not stopped".into());
    }
    let mut found = vec![refused(signals)];
    for process in looked {
        let looks: u32 = process.threads.iter().map(|thread| thread.looks).sum();
        let stopped: u32 = process.threads.iter().map(|thread| thread.stopped).sum();
        match &process.cgroup {
            Some(cgroup) if frozen(process) => found.push(evidence(
                format!(
                    "cgroup {} of {}[{}] was frozen in {} of {} looks",
                    cgroup.path, process.comm, process.pid, cgroup.frozen, cgroup.looks
                ),
                "cgroup.events",
            )),
            _ => found.push(evidence(
                format!(
                    "{}[{}]: state T in {stopped} of {looks} looks at {} threads",
                    process.comm,
                    process.pid,
                    process.threads.len()
                ),
                OF_STATE,
            )),
        }
    }
    Judged::Yes(Confidence::Likely, found)
}

fn throttled(signals: &Signals) -> Judged {
    if signals.overflows() == 0 {
        return Judged::No("no accept queue overflowed".into());
    }
    let cgroups = signals
        .processes
        .iter()
        .filter_map(|process| process.cgroup.as_ref());
    let most = cgroups
        .filter_map(|cgroup| Some((cgroup.throttled?, &cgroup.path)))
        .max_by(|((a, _), _), ((b, _), _)| a.total_cmp(b));
    let Some(((share, times), path)) = most else {
        return Judged::Abstains;
    };
    if share < MUCH {
        return Judged::No(format!("throttled {:.0} % of the time", share * 100.0));
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            refused(signals),
            evidence(
                format!(
                    "cgroup {path} was throttled {:.0} % of the time, {times} times",
                    share * 100.0
                ),
                "cpu.stat",
            ),
        ],
    )
}

fn memory_stalled(signals: &Signals) -> Judged {
    if let Err(no) = pinned(signals) {
        return no;
    }
    let cgroups = signals
        .processes
        .iter()
        .filter_map(|process| process.cgroup.as_ref());
    let most = cgroups
        .filter_map(|cgroup| Some((cgroup.memory_stalled?, cgroup)))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let Some((share, cgroup)) = most else {
        return Judged::Abstains;
    };
    if share < MUCH {
        return Judged::No(format!(
            "waited for memory {:.0} % of the time",
            share * 100.0
        ));
    }
    let mut found = vec![
        refused(signals),
        evidence(
            format!(
                "a process of cgroup {} waited for memory {:.0} % of the time",
                cgroup.path,
                share * 100.0
            ),
            "memory.pressure",
        ),
    ];
    if let Some(times) = cgroup.memory_high.filter(|times| *times > 0) {
        found.push(evidence(
            format!("above memory.high {times} times"),
            "memory.events",
        ));
    }
    Judged::Yes(Confidence::Likely, found)
}

fn fd_exhausted(signals: &Signals) -> Judged {
    if signals.overflows() == 0 {
        return Judged::No("no accept queue overflowed".into());
    }
    let mut known = signals
        .processes
        .iter()
        .filter_map(|process| Some((process, process.fds?)))
        .peekable();
    if known.peek().is_none() {
        return Judged::Abstains;
    }
    match known.find(|(_, (open, limit))| open >= limit) {
        Some((process, (open, limit))) => Judged::Yes(
            Confidence::Likely,
            vec![
                refused(signals),
                evidence(
                    format!(
                        "{}[{}] has {open} descriptors open and may have {limit}",
                        process.comm, process.pid
                    ),
                    "/proc/PID/fd, limits",
                ),
            ],
        ),
        None => Judged::No("every process had descriptors left".into()),
    }
}

fn saturated(signals: &Signals) -> Judged {
    if let Err(no) = pinned(signals) {
        return no;
    }
    let busiest = signals
        .threads()
        .filter_map(|(process, thread)| Some((thread.cpu?, process, thread)))
        .max_by(|(a, ..), (b, ..)| a.total_cmp(b));
    let Some((share, process, thread)) = busiest else {
        return Judged::Abstains;
    };
    // On a busy host a thread that never rests also waits for its turn.
    let waited = thread.delayed.unwrap_or(0.0);
    if share < HALF || share + waited < FULL {
        return Judged::No(format!(
            "the busiest thread used {:.0} % of a CPU",
            share * 100.0
        ));
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            refused(signals),
            evidence(
                format!(
                    "thread {}[{}] of {}[{}] used {:.0} % of a CPU while the queue was full, and waited {:.0} % for one",
                    thread.comm,
                    thread.tid,
                    process.comm,
                    process.pid,
                    share * 100.0,
                    waited * 100.0
                ),
                OF_TIMES,
            ),
        ],
    )
}

fn starved(signals: &Signals) -> Judged {
    if let Err(no) = pinned(signals) {
        return no;
    }
    let most = signals
        .threads()
        .filter_map(|(process, thread)| Some((thread.delayed?, process, thread)))
        .max_by(|(a, ..), (b, ..)| a.total_cmp(b));
    let Some((share, process, thread)) = most else {
        return Judged::Abstains;
    };
    if share < HALF {
        return Judged::No(format!(
            "no thread waited for a CPU more than {:.0} % of the time",
            share * 100.0
        ));
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            refused(signals),
            evidence(
                format!(
                    "thread {}[{}] of {}[{}] was runnable without a CPU {:.0} % of the time",
                    thread.comm,
                    thread.tid,
                    process.comm,
                    process.pid,
                    share * 100.0
                ),
                OF_TIMES,
            ),
        ],
    )
}

fn orphan(signals: &Signals) -> Judged {
    let worst = match pinned(signals) {
        Ok(worst) => worst,
        Err(no) => return no,
    };
    if signals.members.len() < 2 {
        return Judged::No("there is one listener only".into());
    }
    let Some(accepted) = worst.accepted else {
        return Judged::Abstains;
    };
    let others: u64 = signals
        .members
        .iter()
        .filter(|member| member.cookie != worst.cookie)
        .filter_map(|member| member.accepted)
        .sum();
    if accepted > 0 || others == 0 {
        return Judged::No(format!(
            "the full one accepted {accepted}, the others {others}"
        ));
    }
    // Without epoll a worker that is stuck and one that has forgotten the socket look alike.
    match (worst.owners, worst.polled) {
        (0, _) | (_, Some(false)) => {}
        (_, Some(true)) => return Judged::No("its owner waits for it".into()),
        (_, None) => return Judged::Abstains,
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            refused(signals),
            evidence(
                format!(
                    "one of {} members accepted nothing, the others {others}",
                    signals.members.len()
                ),
                OF_HOOKS,
            ),
            evidence(
                "no epoll instance of its owner waits for it".into(),
                "/proc/PID/fdinfo",
            ),
        ],
    )
}

/// Nothing was accepted while the queue was full.
fn accepts_nothing(signals: &Signals) -> Result<&super::Member, Judged> {
    let worst = pinned_with_everybody(signals)?;
    match worst.accepted_while_full {
        None => Err(Judged::Abstains),
        Some(0) => Ok(worst),
        Some(n) => Err(Judged::No(format!(
            "{n} connections were accepted while the queue was full"
        ))),
    }
}

fn stood_still(worst: &super::Member) -> Evidence {
    evidence(
        format!(
            "nothing was accepted while the queue was over its limit, {} ms at a stretch",
            worst.longest_full.as_millis()
        ),
        OF_HOOKS,
    )
}

fn paused(signals: &Signals) -> Judged {
    let worst = match accepts_nothing(signals) {
        Ok(worst) => worst,
        Err(no) => return no,
    };
    let waits = signals
        .threads()
        .any(|(_, thread)| thread.looks >= 3 && thread.waiting * 10 >= thread.looks * 8);
    match worst.polled {
        None => Judged::Abstains,
        Some(true) => Judged::No("an epoll instance of the owner waits for the listener".into()),
        Some(false) if !waits => Judged::No("no thread of the owner waits for files".into()),
        Some(false) => Judged::Yes(
            Confidence::Likely,
            vec![
                refused(signals),
                stood_still(worst),
                evidence(
                    "no epoll instance of the owner waits for the listener".into(),
                    "/proc/PID/fdinfo",
                ),
            ],
        ),
    }
}

fn blocked(signals: &Signals) -> Judged {
    let worst = match pinned_with_everybody(signals) {
        Ok(worst) => worst,
        Err(no) => return no,
    };
    let looked: Vec<(&Process, &Thread)> = signals
        .threads()
        .filter(|(_, thread)| thread.looks >= 3)
        .collect();
    let Some((process, thread)) = looked
        .iter()
        .find(|(process, thread)| process.pid == thread.tid)
        .or(looked.first())
    else {
        return Judged::Abstains;
    };
    if looked
        .iter()
        .any(|(_, thread)| thread.waiting * 10 >= thread.looks * 2)
    {
        return Judged::No("a thread of the owner waits for connections".into());
    }
    // One that is awake may be the one that accepts.
    if looked
        .iter()
        .any(|(_, thread)| thread.blocked * 10 < thread.looks * 8)
    {
        return Judged::No("not every thread of the owner slept all the time".into());
    }
    let accepted = match worst.accepted_while_full {
        Some(0) => stood_still(worst),
        Some(n) => evidence(
            format!("{n} were accepted while the queue was over its limit"),
            OF_HOOKS,
        ),
        None => evidence(
            format!(
                "the queue was over its limit in {} of {} looks",
                worst.full_looks, worst.looks
            ),
            OF_QUEUE,
        ),
    };
    Judged::Yes(
        Confidence::Likely,
        vec![
            refused(signals),
            accepted,
            evidence(
                format!(
                    "thread {}[{}] of {}[{}] slept in {} in {} of {} looks",
                    thread.comm,
                    thread.tid,
                    process.comm,
                    process.pid,
                    thread.blocked_in.as_deref().unwrap_or("the kernel"),
                    thread.blocked,
                    thread.looks
                ),
                OF_SLEEP,
            ),
        ],
    )
}

fn imbalance(signals: &Signals) -> Judged {
    if signals.overflows() == 0 {
        return Judged::No("no accept queue overflowed".into());
    }
    if signals.members.len() < 2 {
        return Judged::No("there is one listener only".into());
    }
    let Some(worst) = signals.worst() else {
        return Judged::Abstains;
    };
    let all: u64 = signals.members.iter().map(|member| member.refusals).sum();
    let others_full = signals
        .members
        .iter()
        .filter(|member| member.cookie != worst.cookie)
        .any(|member| u64::from(member.peak) * 2 > u64::from(member.limit));
    if worst.refusals * 10 < all * 8 || others_full {
        return Judged::No("another member was full too".into());
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            evidence(
                format!(
                    "{} of {all} refusals at one of {} members, whose queue held {} of {}",
                    worst.refusals,
                    signals.members.len(),
                    worst.peak,
                    worst.limit
                ),
                OF_HOOKS,
            ),
            evidence("no other queue was more than half full".into(), OF_HOOKS),
        ],
    )
}

/// The queue was full for moments only, and was drained each time.
fn bursts(signals: &Signals) -> Result<&super::Member, Judged> {
    if signals.overflows() == 0 {
        return Err(Judged::No("no accept queue overflowed".into()));
    }
    let Some(worst) = signals.worst().filter(|worst| worst.looks > 0) else {
        return Err(Judged::Abstains);
    };
    let Some(accepted) = worst.accepted else {
        return Err(Judged::Abstains);
    };
    if worst.is_pinned() {
        return Err(Judged::No(format!(
            "the queue was over its limit for {} ms at a stretch",
            worst.longest_full.as_millis()
        )));
    }
    if worst.full_looks * 5 > worst.looks || worst.drained_looks * 2 < worst.looks {
        return Err(Judged::No(format!(
            "the queue was over its limit in {} of {} looks, and drained in {}",
            worst.full_looks, worst.looks, worst.drained_looks
        )));
    }
    if accepted < worst.refusals.min(u64::from(worst.limit)) {
        return Err(Judged::No(format!("only {accepted} were accepted")));
    }
    Ok(worst)
}

fn burst_evidence(signals: &Signals, worst: &super::Member) -> Vec<Evidence> {
    vec![
        refused(signals),
        evidence(
            format!(
                "the queue held {} of {}; it was at most a tenth full in {} of {} looks",
                worst.peak, worst.limit, worst.drained_looks, worst.looks
            ),
            OF_QUEUE,
        ),
        evidence(
            format!("{} were accepted", worst.accepted.unwrap_or(0)),
            OF_HOOKS,
        ),
    ]
}

fn clamped(signals: &Signals) -> Judged {
    let worst = match bursts(signals) {
        Ok(worst) => worst,
        Err(no) => return no,
    };
    let Some(somaxconn) = signals.sysctls.somaxconn else {
        return Judged::Abstains;
    };
    if worst.limit != somaxconn {
        return Judged::No(format!(
            "the limit is {}, somaxconn {somaxconn}",
            worst.limit
        ));
    }
    let mut found = burst_evidence(signals, worst);
    found.push(evidence(
        format!("net.core.somaxconn is {somaxconn}: the application may have asked for more, or for the same"),
        OF_SYSCTL,
    ));
    Judged::Yes(Confidence::Likely, found)
}

fn too_small(signals: &Signals) -> Judged {
    let worst = match bursts(signals) {
        Ok(worst) => worst,
        Err(no) => return no,
    };
    let Some(somaxconn) = signals.sysctls.somaxconn else {
        return Judged::Abstains;
    };
    if worst.limit >= somaxconn {
        return Judged::No(format!("somaxconn is {somaxconn}"));
    }
    let mut found = burst_evidence(signals, worst);
    found.push(evidence(
        format!("net.core.somaxconn is {somaxconn}"),
        OF_SYSCTL,
    ));
    Judged::Yes(Confidence::Likely, found)
}

fn too_deep(signals: &Signals) -> Judged {
    if signals.overflows() > 0 {
        return Judged::No("accept queues overflowed".into());
    }
    let waits = signals
        .members
        .iter()
        .filter_map(|member| Some((member.wait?, member)));
    let Some(((p99, max), member)) = waits.max_by_key(|((p99, _), _)| *p99) else {
        return Judged::Abstains;
    };
    if p99.as_millis() < LONG_WAIT_MS {
        return Judged::No(format!("99 % waited {} ms or less", p99.as_millis()));
    }
    Judged::Yes(
        Confidence::Likely,
        vec![evidence(
            format!(
                "1 % of connections waited more than {} ms for accept(2), the longest {} ms; the queue held {} of {}",
                p99.as_millis(),
                max.as_millis(),
                member.peak,
                member.limit
            ),
            OF_HOOKS,
        )],
    )
}

/// SYNs for which the SYN queue had no room.
fn beyond_syn_queue(signals: &Signals) -> u64 {
    signals.of_kind(Kind::RequestDrop)
        + signals.of(Kind::CookieSent, "syn-queue-full")
        + signals.of(Kind::ListenDrop, "max-syn-backlog")
}

fn established(signals: &Signals) -> u64 {
    signals
        .members
        .iter()
        .map(|member| member.established)
        .sum()
}

fn flood(signals: &Signals) -> Judged {
    let (beyond, established) = (beyond_syn_queue(signals), established(signals));
    if beyond < MANY {
        return Judged::No(format!("the SYN queue had no room for {beyond} SYNs"));
    }
    if signals.overflows() > 0 {
        return Judged::No(BEHIND.into());
    }
    if established * 10 > beyond {
        return Judged::No(format!("{established} were established"));
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            evidence(
                format!("the SYN queue had no room for {beyond} SYNs"),
                OF_KERNEL,
            ),
            evidence(
                format!("{established} connections were established meanwhile"),
                OF_HOOKS,
            ),
        ],
    )
}

fn burst(signals: &Signals) -> Judged {
    let (beyond, established) = (beyond_syn_queue(signals), established(signals));
    if beyond == 0 {
        return Judged::No("the SYN queue had room for every SYN".into());
    }
    if signals.overflows() > 0 {
        return Judged::No(BEHIND.into());
    }
    if established < beyond {
        return Judged::No(format!(
            "{established} were established, of {beyond} SYNs and more"
        ));
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            evidence(
                format!("the SYN queue had no room for {beyond} SYNs"),
                OF_KERNEL,
            ),
            evidence(
                format!("{established} connections were established meanwhile"),
                OF_HOOKS,
            ),
        ],
    )
}

fn cookies_off(signals: &Signals) -> Judged {
    let dropped =
        signals.of_kind(Kind::RequestDrop) + signals.of(Kind::ListenDrop, "max-syn-backlog");
    if dropped == 0 {
        return Judged::No("no SYN was dropped for want of room in the SYN queue".into());
    }
    if signals.overflows() > 0 {
        return Judged::No(BEHIND.into());
    }
    match signals.sysctls.syncookies {
        None => Judged::Abstains,
        Some(0) => Judged::Yes(
            Confidence::Certain,
            vec![
                evidence(
                    format!("{dropped} SYNs dropped for want of room in the SYN queue"),
                    OF_KERNEL,
                ),
                evidence("net.ipv4.tcp_syncookies is 0".into(), OF_SYSCTL),
            ],
        ),
        Some(on) => Judged::No(format!("net.ipv4.tcp_syncookies is {on}")),
    }
}

fn elsewhere(signals: &Signals) -> Judged {
    let judged = certain_of(
        signals,
        Kind::Refused,
        &[
            "listener-on-other-address",
            "listener-on-other-device",
            "listener-in-other-namespace",
        ],
    );
    let Judged::Yes(confidence, mut found) = judged else {
        return judged;
    };
    found.extend(
        signals
            .elsewhere
            .iter()
            .map(|place| evidence(format!("listening: {place}"), OF_QUEUE)),
    );
    Judged::Yes(confidence, found)
}

fn restarting(signals: &Signals) -> Judged {
    let missed = signals.of(Kind::Refused, "listener-closed")
        + signals.of(Kind::Refused, "not-yet-listening");
    if missed == 0 {
        return Judged::No("nobody was refused by a listener that came or went".into());
    }
    if signals.members.is_empty() {
        return Judged::No("nobody listens there again".into());
    }
    let mut found = vec![evidence(
        format!("{missed} refused between two listeners"),
        OF_KERNEL,
    )];
    found.extend(
        signals
            .closed_by
            .iter()
            .map(|who| evidence(format!("closed by {who}"), OF_KERNEL)),
    );
    Judged::Yes(Confidence::Certain, found)
}

fn no_listener(signals: &Signals) -> Judged {
    let missed =
        signals.of(Kind::Refused, "no-listener") + signals.of(Kind::Refused, "listener-closed");
    if missed == 0 {
        return Judged::No("nobody was refused for want of a listener".into());
    }
    if !signals.members.is_empty() && signals.of(Kind::Refused, "no-listener") == 0 {
        return Judged::No("somebody listens there".into());
    }
    let mut found = vec![evidence(
        format!("{missed} connections refused with a reset"),
        OF_KERNEL,
    )];
    found.extend(
        signals
            .closed_by
            .iter()
            .map(|who| evidence(format!("closed by {who}"), OF_KERNEL)),
    );
    Judged::Yes(Confidence::Certain, found)
}

fn conntrack_full(signals: &Signals) -> Judged {
    let Some((count, most)) = signals.conntrack else {
        return Judged::Abstains;
    };
    let dropped = signals.of(Kind::PacketDrop, "netfilter-drop");
    if dropped == 0 || count < most {
        return Judged::No(format!("{count} of {most} entries, {dropped} SYNs dropped"));
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            evidence(format!("{dropped} SYNs dropped by netfilter"), OF_KERNEL),
            evidence(
                format!("{count} of {most} entries used"),
                "nf_conntrack_count, nf_conntrack_max",
            ),
        ],
    )
}

fn path_loss(signals: &Signals) -> Judged {
    let expired = signals.of(Kind::RequestExpired, "no-ack");
    if expired == 0 {
        return Judged::No("every SYN-ACK was answered".into());
    }
    if signals.refusals > 0 {
        return Judged::No("the listener refused some itself".into());
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            evidence(
                format!("{expired} requests ended since their SYN-ACKs were not acknowledged"),
                OF_KERNEL,
            ),
            evidence("the listener refused nothing".into(), OF_KERNEL),
        ],
    )
}
