//! The one table of rules, causes before the symptoms that they explain.

use super::{Rule, acceptor, backlog, drops, lost, path, place, said::certain_of, sleep, syn};
use crate::model::kind::Kind;

const BACKLOGS: [&str; 3] = [
    "somaxconn-clamps-backlog",
    "backlog-too-small",
    "reuseport-imbalance",
];

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "backlog-zero",
        says: "the application asked for a queue of 0: there is room for one connection",
        advice: &["give listen(2) a backlog of at least 128, or what your framework calls it"],
        overflow: true,
        explains: &BACKLOGS,
        judge: backlog::zero,
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
        judge: acceptor::stopped,
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
            "reuseport-imbalance",
        ],
        judge: acceptor::throttled,
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
            "acceptor-saturated",
            "reuseport-imbalance",
        ],
        judge: acceptor::memory_stalled,
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
            "acceptor-starved",
            "reuseport-imbalance",
        ],
        judge: acceptor::fd_exhausted,
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
        judge: acceptor::saturated,
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
            "reuseport-imbalance",
        ],
        judge: acceptor::starved,
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
        judge: sleep::orphan,
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
            "reuseport-imbalance",
        ],
        judge: sleep::paused,
    },
    Rule {
        id: "acceptor-blocked",
        says: "every thread of the process slept in something that is not accept(2) while its queue was full",
        advice: &[
            "find what it waits for: the system call above, its stack in /proc/PID/stack, a lock, a slow disk or backend",
            "move what blocks to another thread than the one that accepts",
        ],
        overflow: true,
        explains: &[
            "somaxconn-clamps-backlog",
            "backlog-too-small",
            "reuseport-imbalance",
        ],
        judge: sleep::blocked,
    },
    Rule {
        id: "reuseport-imbalance",
        says: "one member of the SO_REUSEPORT group was full while the others had room",
        advice: &[
            "spread connections: more members, a BPF selector (SO_ATTACH_REUSEPORT_EBPF), or one shared listener",
        ],
        overflow: true,
        explains: &["somaxconn-clamps-backlog", "backlog-too-small"],
        judge: backlog::imbalance,
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
        judge: backlog::clamped,
    },
    Rule {
        id: "backlog-too-small",
        says: "bursts were longer than the queue, and the application drained it each time",
        advice: &[
            "raise the backlog that the application gives to listen(2), and restart it",
            "net.core.somaxconn is above it already and need not be raised; if it was raised since the application started, a restart alone may do: listen(2) takes the limit once",
        ],
        overflow: true,
        explains: &[],
        judge: backlog::too_small,
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
        judge: backlog::too_deep,
    },
    Rule {
        id: "listener-closed-with-queue",
        says: "a listener was closed with connections in its queue: the kernel reset them",
        advice: &[
            "drain before closing: stop new connections elsewhere, accept what is queued, then close",
            "or hand the socket over; with SO_REUSEPORT, net.ipv4.tcp_migrate_req=1 (5.14 and later)",
        ],
        overflow: false,
        explains: &[],
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
        id: "defer-accept-holds-requests",
        says: "the SYN queue is full of clients that are connected and silent: TCP_DEFER_ACCEPT holds them there until they say something",
        advice: &[
            "take TCP_DEFER_ACCEPT off the listener: Apache `AcceptFilter http none`, nginx `listen` without `deferred`, HAProxy `bind` without `defer-accept`",
            "or keep clients off that only connect: preconnects, health checks that send nothing",
            "a longer backlog holds more of them, and no more of others",
        ],
        overflow: false,
        explains: &["syn-flood", "legitimate-burst", "cookies-off", "path-loss"],
        judge: syn::defer_accept,
    },
    Rule {
        id: "syn-flood",
        says: "the SYN queue overflowed with requests that nobody completed",
        advice: &[
            "keep net.ipv4.tcp_syncookies at 1",
            "drop the sources before they reach the listener: firewall, XDP",
        ],
        overflow: false,
        explains: &["legitimate-burst", "cookies-off", "path-loss"],
        judge: syn::flood,
    },
    Rule {
        id: "legitimate-burst",
        says: "the SYN queue overflowed with connections that were completed: no attack",
        advice: &["raise the backlog of the listener and net.ipv4.tcp_max_syn_backlog"],
        overflow: false,
        explains: &[],
        judge: syn::burst,
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
        judge: syn::cookies_off,
    },
    Rule {
        id: "process-died",
        says: "the process that listened died, and clients came while nobody listened",
        advice: &[
            "find out why it died: its log, journalctl -u UNIT, coredumpctl info; of SIGKILL, whether memory ran out: journalctl -k --grep 'Killed process'",
            "draining or handing the socket over does not help against a death; with socket activation (a .socket unit) clients wait instead of being refused",
        ],
        overflow: false,
        explains: &["listener-restarting", "no-listener"],
        judge: place::died,
    },
    Rule {
        id: "listener-elsewhere",
        says: "somebody listens on this port, but not where clients look",
        advice: &[
            "bind to the address, device or namespace that clients use, or to :: without IPV6_V6ONLY",
        ],
        overflow: false,
        explains: &["no-listener", "listener-restarting"],
        judge: place::elsewhere,
    },
    Rule {
        id: "listener-restarting",
        says: "the listener was closed for a while, and clients came meanwhile",
        advice: &[
            "hand the socket over on restart (socket activation, SO_REUSEPORT with both running), or drain first",
        ],
        overflow: false,
        explains: &["no-listener"],
        judge: place::restarting,
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
        judge: place::no_listener,
    },
    Rule {
        id: "conntrack-full",
        says: "the table of connections that the firewall tracks was full",
        advice: &["raise net.netfilter.nf_conntrack_max, or track less"],
        overflow: false,
        explains: &["rejected-by-firewall"],
        judge: path::conntrack_full,
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
        id: "dropped-by-kernel",
        says: "the kernel threw segments of handshakes away before the listener decided, and says why",
        // What to do is another thing for each reason.
        advice: &[],
        overflow: false,
        explains: &[],
        judge: drops::by_kernel,
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
        says: "the listener answered, and its answers or their ACKs were lost: on the way, or by clients that never meant to connect",
        advice: &[
            "find where the SYN-ACK or its ACK is lost: tcpdump -ni any 'tcp port PORT' on both ends",
            "on this host: OUTPUT and POSTROUTING rules, tc filters on egress, the route back (ip route get CLIENT)",
            "the listener is sound",
        ],
        overflow: false,
        explains: &[],
        judge: lost::path_loss,
    },
];
