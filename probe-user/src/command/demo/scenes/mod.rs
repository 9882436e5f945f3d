//! The one table of scenes: what each does, and what it makes.

mod acceptor;
mod listener;
mod path;
mod queue;

use std::{io, net::Ipv4Addr};

use super::stage::Stage;

pub(super) struct Scene {
    pub name: &'static str,
    /// What is about to happen, in one line.
    pub does: &'static str,
    /// The verdicts that are right, in the order of the rules.
    pub truth: &'static [&'static str],
    /// Where to look in the answer.
    pub look_at: &'static str,
    /// Where clients look for a server, which `why` is asked about.
    pub at: Ipv4Addr,
    /// Sets up, says so, and goes on until the watch ends.
    pub play: fn(&Stage) -> io::Result<()>,
}

/// Where the servers are.
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "acceptor-stopped",
        does: "a server is stopped (SIGSTOP), and clients come all the time",
        truth: &["acceptor-stopped"],
        look_at: "look at the state of its threads",
        at: HERE,
        play: acceptor::stopped,
    },
    Scene {
        name: "acceptor-frozen",
        does: "the cgroup of a server is frozen, and clients come all the time",
        truth: &["acceptor-stopped"],
        look_at: "look at what is said of its cgroup",
        at: HERE,
        play: acceptor::frozen,
    },
    Scene {
        name: "acceptor-blocked",
        does: "a server sleeps for 200 ms with each connection, and clients come faster",
        truth: &["acceptor-blocked"],
        look_at: "look at the system call it slept in",
        at: HERE,
        play: acceptor::blocked,
    },
    Scene {
        name: "acceptor-saturated",
        does: "a server computes for 20 ms with each connection, and clients come faster",
        truth: &["acceptor-saturated"],
        look_at: "look at the CPU share of its one thread",
        at: HERE,
        play: acceptor::saturated,
    },
    Scene {
        name: "acceptor-starved",
        does: "a server shares its CPU with a neighbour at nice -10 that never rests",
        truth: &["acceptor-starved"],
        look_at: "look at how long it was runnable without a CPU",
        at: HERE,
        play: acceptor::starved,
    },
    Scene {
        name: "cpu-throttled",
        does: "a server that computes may use a tenth of a CPU (cpu.max of its cgroup)",
        truth: &["cpu-throttled"],
        look_at: "look at how often its cgroup was throttled",
        at: HERE,
        play: acceptor::throttled,
    },
    Scene {
        name: "memory-stalled",
        does: "a server writes to 64 MB with each connection, and may have 4 MB (memory.high of its cgroup)",
        truth: &["memory-stalled"],
        look_at: "look at how long its cgroup waited for memory",
        at: HERE,
        play: acceptor::short_of_memory,
    },
    Scene {
        name: "fd-exhausted",
        does: "a server never closes its connections, and may have 16 files open",
        truth: &["fd-exhausted"],
        look_at: "look at its open descriptors",
        at: HERE,
        play: acceptor::without_descriptors,
    },
    Scene {
        name: "accept-paused-by-application",
        does: "a server has four connections at most, and does not wait for its listener when it has them",
        truth: &["accept-paused-by-application"],
        look_at: "look at what its epoll instance waits for",
        at: HERE,
        play: acceptor::paused,
    },
    Scene {
        name: "acceptor-missing",
        does: "a worker accepts for a second and is killed; its master holds the listener and waits for other files",
        truth: &["acceptor-missing"],
        look_at: "look at who held the listener and does no more",
        at: HERE,
        play: acceptor::missing,
    },
    Scene {
        name: "listener-unused",
        does: "a server waits for other files, and never for its listener",
        truth: &["listener-unused"],
        look_at: "look at who has a connection that came from it: nobody",
        at: HERE,
        play: acceptor::unused,
    },
    Scene {
        name: "garbage-collection",
        does: "a thread that collects garbage uses a CPU, and the other one of its server waits for it",
        truth: &["garbage-collection"],
        look_at: "look at which thread ran",
        at: HERE,
        play: acceptor::collecting,
    },
    Scene {
        name: "backlog-too-small",
        does: "24 clients at once come to a quick server with a queue of 8, every 250 ms",
        truth: &["backlog-too-small"],
        look_at: "look at how often the queue was drained",
        at: HERE,
        play: queue::too_small,
    },
    Scene {
        name: "somaxconn-clamps-backlog",
        does: "24 clients at once come to a quick server that asked for a queue of 511 and has 8 by somaxconn",
        truth: &["somaxconn-clamps-backlog"],
        look_at: "look at the limit, and who set it",
        at: HERE,
        play: queue::clamped,
    },
    Scene {
        name: "backlog-zero",
        does: "clients come to a quick server that asked for a queue of 0",
        truth: &["backlog-zero"],
        look_at: "look at the limit of its queue",
        at: HERE,
        play: queue::zero,
    },
    Scene {
        name: "backlog-too-deep",
        does: "70 clients at once wait in a queue of 128, and a server takes one each 30 ms",
        truth: &["backlog-too-deep"],
        look_at: "look at how long they waited",
        at: HERE,
        play: queue::too_deep,
    },
    Scene {
        name: "reuseport-imbalance",
        does: "24 clients at once, and all of them to one of two servers that share a port",
        truth: &["reuseport-imbalance"],
        look_at: "look at the two queues",
        at: HERE,
        play: queue::imbalance,
    },
    Scene {
        name: "reuseport-orphan",
        does: "two servers share a port, and one of them has forgotten its listener",
        truth: &["reuseport-orphan"],
        look_at: "look at what each of the two has accepted",
        at: HERE,
        play: queue::orphan,
    },
    Scene {
        name: "abort-on-overflow",
        does: "a server is stopped, and its clients are reset because tcp_abort_on_overflow is 1",
        truth: &["acceptor-stopped", "abort-on-overflow"],
        look_at: "look at the two verdicts: why the queue was full, and why that was a reset",
        at: HERE,
        play: queue::abort,
    },
    Scene {
        name: "cookies-with-full-queue",
        does: "a server is stopped, and clients bring valid SYN cookies back when its queue is full",
        truth: &["acceptor-stopped", "cookies-with-full-queue"],
        look_at: "look at the two verdicts: why the queue was full, and who believes to be connected",
        at: HERE,
        play: queue::behind_cookies,
    },
    Scene {
        name: "syn-flood",
        does: "SYNs of clients that do not exist come to a sound server",
        truth: &["syn-flood"],
        look_at: "look at how many connections were completed",
        at: HERE,
        play: queue::flood,
    },
    Scene {
        name: "legitimate-burst",
        does: "60 clients connect to a quick server with a SYN queue of 32, and all of them mean it",
        truth: &["legitimate-burst"],
        look_at: "look at how many connections were completed",
        at: HERE,
        play: queue::burst,
    },
    Scene {
        name: "cookies-off",
        does: "a few SYNs stay in a SYN queue of 8, and tcp_syncookies is 0",
        truth: &["cookies-off"],
        look_at: "look at what became of the other SYNs",
        at: HERE,
        play: queue::without_cookies,
    },
    Scene {
        name: "listener-closed-with-queue",
        does: "a server ends with connections in its queue, again and again",
        truth: &["listener-closed-with-queue"],
        look_at: "look at how many were reset",
        at: HERE,
        play: listener::closed_with_queue,
    },
    Scene {
        name: "defer-accept-holds-requests",
        does: "a server waits for its clients to say something (TCP_DEFER_ACCEPT), and they stay and say nothing",
        truth: &["defer-accept-holds-requests"],
        look_at: "look at the half-open requests",
        at: HERE,
        play: queue::held_by_silence,
    },
    Scene {
        name: "process-died",
        does: "a server is killed, clients come, and another one starts",
        truth: &["process-died"],
        look_at: "look at how it ended",
        at: HERE,
        play: listener::dying,
    },
    Scene {
        name: "no-listener",
        does: "clients come, and nobody listens",
        truth: &["no-listener"],
        look_at: "look at what they got for an answer",
        at: HERE,
        play: listener::nobody,
    },
    Scene {
        name: "listener-elsewhere",
        does: "a server listens on 127.0.0.1, and clients look for it on 127.0.0.2",
        truth: &["listener-elsewhere"],
        look_at: "look at where it is said to listen",
        at: Ipv4Addr::new(127, 0, 0, 2),
        play: listener::elsewhere,
    },
    Scene {
        name: "listener-restarting",
        does: "a server ends and another one begins a while later, again and again",
        truth: &["listener-restarting"],
        look_at: "look at who closed the listener",
        at: HERE,
        play: listener::restarting,
    },
    Scene {
        name: "redirected-elsewhere",
        does: "a firewall (nftables) sends clients to another port, whose server takes nothing",
        truth: &["redirected-elsewhere"],
        look_at: "look at where they come out, and at the command that asks there",
        at: HERE,
        play: path::redirected,
    },
    Scene {
        name: "source-ports-exhausted",
        does: "four clients have the four source ports that there are, and more try to connect",
        truth: &["source-ports-exhausted"],
        look_at: "look at how many source ports are taken",
        at: HERE,
        play: path::without_source_ports,
    },
    Scene {
        name: "conntrack-full",
        does: "as many connections are tracked as may be, and clients come to a sound server",
        truth: &["conntrack-full"],
        look_at: "look at the entries used",
        at: HERE,
        play: path::untracked,
    },
    Scene {
        name: "rejected-by-firewall",
        does: "a firewall (nftables) takes nothing that comes to a sound server",
        truth: &["rejected-by-firewall"],
        look_at: "look at who dropped the SYNs",
        at: HERE,
        play: path::firewalled,
    },
    Scene {
        name: "timestamps-rejected",
        does: "the clocks of clients go back between SYN and ACK",
        truth: &["timestamps-rejected"],
        look_at: "look at why the kernel dropped the ACKs",
        at: HERE,
        play: path::out_of_time,
    },
    Scene {
        name: "memory-or-route",
        does: "SYNs come from an address to which there is no route",
        truth: &["memory-or-route"],
        look_at: "look at what the kernel lacked",
        at: HERE,
        play: path::without_a_way_back,
    },
    Scene {
        name: "dropped-by-kernel",
        does: "a filter of the server's socket throws every SYN away",
        truth: &["dropped-by-kernel"],
        look_at: "look at the reason that the kernel gives",
        at: HERE,
        play: path::filtered,
    },
    Scene {
        name: "path-loss",
        does: "a sound server answers SYNs, and nobody acknowledges that",
        truth: &["path-loss"],
        look_at: "look at what became of the requests",
        at: HERE,
        play: path::unanswered,
    },
    Scene {
        name: "sound-server",
        does: "clients come one after the other to a server that accepts at once",
        truth: &[],
        look_at: "nothing is wrong",
        at: HERE,
        play: listener::sound,
    },
    Scene {
        name: "good-restart",
        does: "a server hands its listener to the next one and ends, again and again",
        truth: &[],
        look_at: "nothing is wrong",
        at: HERE,
        play: listener::handed_over,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose;

    #[test]
    fn every_truth_is_a_verdict_that_there_is() {
        let known: Vec<&str> = diagnose::ids().collect();
        for scene in SCENES {
            for id in scene.truth {
                assert!(known.contains(id), "{}: {id}", scene.name);
            }
            let by_name = scene.truth.contains(&scene.name);
            assert!(by_name || !known.contains(&scene.name), "{}", scene.name);
        }
    }

    #[test]
    fn every_verdict_has_a_scene() {
        for id in diagnose::ids().filter(|id| *id != diagnose::UNDETERMINED) {
            let has = SCENES.iter().any(|scene| scene.truth.contains(&id));
            assert!(has, "{id}");
        }
    }

    #[test]
    fn names_are_unique() {
        for (n, scene) in SCENES.iter().enumerate() {
            let mut others = SCENES[..n].iter();
            assert!(others.all(|other| other.name != scene.name));
        }
    }
}
