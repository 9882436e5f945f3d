//! What is known about one port over a stretch of time. A signal that could not be read is `None`, never 0.

use std::{fmt, net::SocketAddr, time::Duration};

pub use super::tally::Causes;
use super::{
    around::{Redirect, Sources},
    awaits::Awaits,
    hold::Standing,
    kind::Kind,
    socket::HalfOpen,
    sysctls::Sysctls,
};

/// Longer than a sound server leaves its queue full: two looks.
const STRETCH: Duration = Duration::from_millis(100);
/// Longer than one who takes every connection that waits leaves one waiting, on a busy host too.
const PAUSE: Duration = Duration::from_millis(250);

/// Everything that rules judge by.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// How long was watched.
    pub watched: Duration,
    /// What happened and for which cause: exactly, lost lines included; of one client as far as lines told.
    pub causes: Causes,
    /// What happened to all clients, where `causes` are those of one.
    pub everybody: Option<Causes>,
    /// Refusals at a listener: overflow, request-drop, listen-drop.
    pub refusals: u64,
    /// From so many client addresses, as far as lines were shown.
    pub clients: usize,
    /// SYNs for which there was no room in the SYN queue, as far as lines told.
    pub tries: Tries,
    /// SYN-ACKs that were sent again, as far as lines told.
    pub resent: u64,
    /// What became of whydrop's own attempt.
    pub probe: Option<Probe>,
    /// Where else somebody listens on this port, as the refusals say.
    pub elsewhere: Vec<String>,
    /// Who closed the listener that clients look for.
    pub closed_by: Vec<String>,
    /// Who of them closed it by ending.
    pub deaths: Vec<Death>,
    /// Somebody listened, before or after, at each address where a client found nobody.
    pub is_gap: bool,
    /// Connections of the port that this side closed first, as the kernel still knows them: they were accepted.
    pub closed_here: Option<u64>,
    /// Each listener that was found here was closed, and none was found after another.
    pub is_final: bool,
    /// The listeners of the port.
    pub members: Vec<Member>,
    /// Who listens there, and how full the queues were, was not looked at all the time.
    pub is_unlooked: bool,
    /// Processes, one after another.
    pub processes: Vec<Process>,
    /// The sysctls of that namespace.
    pub sysctls: Sysctls,
    /// `net.core.somaxconn` when the watch began.
    pub somaxconn_before: Option<u32>,
    /// `nf_conntrack_count` and `nf_conntrack_max` of the namespace.
    pub conntrack: Option<(u32, u32)>,
    /// Something that the namespace says could not be read.
    pub is_host_unread: bool,
    /// Packets dropped during the watch since their connection could not be tracked.
    pub untracked: Option<u64>,
    /// Where connections to this address are sent instead; `None` where that could not be read.
    pub redirects: Option<Vec<Redirect>>,
    /// Clients of this host that have taken every source port there is for it, and how many ports there are.
    pub exhausted: Option<(Vec<Sources>, u64)>,
    /// ACKs that TCP_DEFER_ACCEPT has put off in the namespace, in all and during the watch.
    pub put_off: Option<(u64, u64)>,
    /// What hooks do not tell of here, as the readiness line has it.
    pub blind: Vec<&'static str>,
    /// Whether what was seen adds up to the kernel's counters.
    pub adds_up: bool,
}

/// SYNs that came for the same reason, by attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// How many attempts.
    pub attempts: usize,
    /// Whose SYN came again: a client that means it, and has heard nothing. Who floods sends each once.
    pub repeated: usize,
    /// Client addresses.
    pub sources: usize,
}

/// What became of an attempt of whydrop's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It connected.
    Connected,
    /// Nobody answered.
    Unanswered,
    /// This host had no source port for it (EADDRNOTAVAIL).
    NoPort,
    /// Refused, or it could not be made.
    Failed,
}

/// A process that closed a listener by ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The process, by name and PID.
    pub who: String,
    /// How it ended.
    pub ending: Ending,
    /// Another listener at the same address went on: this one left nobody without.
    pub outlived: bool,
    /// How long it took until somebody was seen to listen there again.
    pub back: Option<Duration>,
    /// Who that was, where it is known.
    pub by: Option<String>,
    /// That one was found there until the end.
    pub stays: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By this signal.
    Signal(u8),
    /// With this status.
    Status(u8),
}

impl Ending {
    /// Whether somebody asked it to: `kill PID`, Ctrl-C, a stop of its unit; or it has done what it was to do.
    pub const fn is_asked_for(self) -> bool {
        match self {
            Self::Signal(signal) => is_a_request(signal),
            // Shells and JVMs end so that they were asked by a signal.
            Self::Status(status) => status == 0 || status > 128 && is_a_request(status - 128),
        }
    }
}

/// SIGHUP, SIGINT, SIGTERM: numbers that are the same on every architecture.
const fn is_a_request(signal: u8) -> bool {
    matches!(signal, 1 | 2 | 15)
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Numbers of include/uapi/asm-generic/signal.h, which x86 and arm64 have.
        let (signal, name) = match self {
            Self::Status(status) => return write!(f, "exited with status {status}"),
            Self::Signal(signal) => match signal {
                4 => (signal, " (SIGILL)"),
                6 => (signal, " (SIGABRT)"),
                7 => (signal, " (SIGBUS)"),
                8 => (signal, " (SIGFPE)"),
                9 => (signal, " (SIGKILL)"),
                11 => (signal, " (SIGSEGV)"),
                15 => (signal, " (SIGTERM)"),
                _ => (signal, ""),
            },
        };
        write!(f, "was killed by signal {signal}{name}")
    }
}

/// A listener of the port.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// The socket cookie (`sock_gen_cookie()`); 0 where it has none yet.
    pub cookie: u64,
    /// The address and port that it is bound to.
    pub addr: Option<SocketAddr>,
    /// More than this many are refused.
    pub limit: u32,
    /// How many connection attempts it refused.
    pub refusals: u64,
    /// Connections that entered the accept queue.
    pub established: u64,
    /// Of these, those that accept(2) took out; `None` where that is not known.
    pub accepted: Option<u64>,
    /// The longest that its accept queue was, at a change or at a look.
    pub peak: u32,
    /// The longest that its SYN queue was.
    pub syn_peak: u32,
    /// The look that found most half-open requests aged; `None` where nobody looked.
    pub half_open: Option<HalfOpen>,
    /// How many looks, half a second or more apart, found any.
    pub half_open_looks: u32,
    /// p99 and the longest wait in the queue.
    pub wait: Option<(Duration, Duration)>,
    /// Looks at the queue, how many found it over its limit, and how many at most a tenth full.
    pub looks: u32,
    /// The first and the last look that found it, of all looks.
    pub seen: (u32, u32),
    /// Looks that found it over its limit.
    pub full_looks: u32,
    /// Looks that found it at most a tenth full.
    pub drained_looks: u32,
    /// The longest stretch of looks that found it over its limit.
    pub longest_full: Duration,
    /// Connections accepted while it was over its limit.
    pub accepted_while_full: Option<u64>,
    /// Whether meanwhile as many were accepted as it holds, five times a second: then nobody stood still.
    pub turned_over: Option<bool>,
    /// The longest that nothing was accepted while connections waited and it refused, by so much at least.
    pub stood_still: Duration,
    /// Processes that hold it.
    pub owners: usize,
    /// Whether an epoll instance of its owners waits for it; `None` where they have none.
    pub polled: Option<bool>,
    /// How it stands in epoll instances of its owners, mostly; `None` where that is not known.
    pub standing: Option<Standing>,
    /// An epoll instance was seen to be asked for its connections, and later none was.
    pub was_armed: bool,
    /// Whether accept(2) of it waits until a connection is there.
    pub blocking: Option<bool>,
    /// The highest limit that its queue had.
    pub limit_before: u32,
    /// Processes that hold it, of whom so many are not looked at.
    pub unsampled: usize,
    /// Connections that were accepted from it and live.
    pub served: Option<usize>,
    /// Those who held it and hold it no more; `None` where there are none, or where that is not known.
    pub missing: Option<Missing>,
    /// Not all who held it were known, so that it is not known who left.
    pub holders_cut: bool,
}

/// Processes that have left a listener which others hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Some of them, by name and PID.
    pub gone: Vec<String>,
    /// How many they are.
    pub in_all: usize,
    /// One of them held it for a while.
    pub stayed_long: bool,
    /// Something was accepted while that one held it.
    pub may_have_accepted: bool,
    /// How long before the last look that found its queue full the last of them left.
    pub since: Duration,
    /// The same of the first of them.
    pub since_first: Duration,
    /// How many came to hold it after it was found first, those who left again too.
    pub came: usize,
    /// Connections accepted during the watch until the last of them left.
    pub accepted_before: Option<u64>,
    /// And since then.
    pub accepted_since: Option<u64>,
    /// Processes that hold it and did not when it was found first.
    pub newcomers: Vec<u32>,
    /// An epoll instance of one that still holds it has waited for it.
    pub is_left_to_one_that_waited: bool,
}

impl Member {
    /// Whether another was there for at least half of its time, so that clients could have been that one's.
    pub fn is_beside(&self, other: &Self) -> bool {
        let looks = |(first, last): (u32, u32)| (last + 1).saturating_sub(first);
        let both = (self.seen.0.max(other.seen.0), self.seen.1.min(other.seen.1));
        looks(both) * 2 >= looks(self.seen)
    }

    /// Whether its connections waited for so long, and none was accepted, that who accepts stood still. Looks that came late may not
    /// have found the queue full meanwhile.
    pub fn has_stood_still(&self) -> bool {
        self.stood_still >= PAUSE
    }

    /// Over its limit for so long at a stretch that it is no burst: whoever accepts stood still, or was slower than who came.
    pub fn is_pinned(&self) -> bool {
        self.full_looks >= 3 && self.longest_full >= STRETCH
    }
}

/// A process that holds a listener of the port, while a queue was over its limit.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// The process, by its number in whydrop's PID namespace.
    pub pid: u32,
    /// Its name: `task->comm`, 15 bytes at most.
    pub comm: String,
    /// Its threads, as many as were looked at.
    pub threads: Vec<Thread>,
    /// It holds a connection that came from the listener, and is older than that: it has accepted it.
    pub has_accepted: bool,
    /// It holds connections that came from the listener, and is younger than each of them, or about as old: it may have been
    /// started for them, and then it accepted none.
    pub has_inherited: bool,
    /// Its parent holds the listener as well.
    pub is_child: bool,
    /// Whether these are all of its threads.
    pub is_whole: bool,
    /// Open descriptors at most, and RLIMIT_NOFILE.
    pub fds: Option<(u64, u64)>,
    /// What its cgroup did meanwhile.
    pub cgroup: Option<Cgroup>,
}

/// A thread over the looks while a queue was over its limit.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    /// The thread, by its number in whydrop's PID namespace.
    pub tid: u32,
    /// Its name: `task->comm`, 15 bytes at most.
    pub comm: String,
    /// How often it was looked at.
    pub looks: u32,
    /// Of these, how often it was stopped.
    pub stopped: u32,
    /// Asleep in something that does not wait for connections, and in what most often.
    pub blocked: u32,
    /// The system call, and the kernel function.
    pub blocked_in: Option<String>,
    /// Of these, until somebody gives a lock back.
    pub locked: u32,
    /// Asleep waiting for connections or for files to become ready.
    pub waiting: u32,
    /// Of these, for connections of this listener, or for an epoll instance that it stands in.
    pub here: u32,
    /// Of these, for what is not this listener.
    pub elsewhere: u32,
    /// Of these, in an epoll instance that it does not stand in.
    pub other_epoll: u32,
    /// Of these, for several files that poll(2) or select(2) was given.
    pub several: u32,
    /// Asleep in what somebody who has nothing to do does not sleep in: a peer, a lock, a child, a disk.
    pub stuck: u32,
    /// Whose connection of this listener it slept on, at each look that asked.
    pub on_client: Option<SocketAddr>,
    /// What it waited for, beyond the name of its system call.
    pub awaits: Option<Awaits>,
    /// Shares of the time: on a CPU, and runnable without one.
    pub cpu: Option<f64>,
    /// Runnable without a processor: a share of the time.
    pub delayed: Option<f64>,
}

/// What its cgroup did meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Cgroup {
    /// Its path.
    pub path: String,
    /// Share of the time, and how often.
    pub throttled: Option<(f64, u64)>,
    /// How often it was looked at.
    pub looks: u32,
    /// Of these, how often it was frozen.
    pub frozen: u32,
    /// Share of the time that some process of it waited for memory.
    pub memory_stalled: Option<f64>,
    /// How often it was throttled for memory.high.
    pub memory_high: Option<u64>,
}

impl Signals {
    /// How often what happened for a cause.
    pub fn of(&self, kind: Kind, cause: &str) -> u64 {
        let key = (kind, cause.to_owned());
        self.causes.get(&key).copied().unwrap_or(0)
    }

    /// What happened to all clients.
    pub fn everybody(&self) -> &Causes {
        self.everybody.as_ref().unwrap_or(&self.causes)
    }

    /// That there was no such thing says nothing then.
    pub fn is_blind_to(&self, name: &str) -> bool {
        self.blind.contains(&name)
    }

    /// For any cause.
    pub fn of_kind(&self, kind: Kind) -> u64 {
        of_kind(&self.causes, kind)
    }

    /// Whether any client was refused since an accept queue was full.
    pub fn anybody_overflowed(&self) -> bool {
        of_kind(self.everybody(), Kind::Overflow) > 0
    }

    /// Refused since an accept queue was full.
    pub fn overflows(&self) -> u64 {
        self.of_kind(Kind::Overflow)
    }

    /// Whether everybody who holds the listener was looked at, or a sample of many: what none of them does, nobody does.
    pub fn saw_everybody(&self, member: &Member) -> bool {
        self.processes.len() + member.unsampled >= member.owners
    }

    /// The member that refused most.
    pub fn worst(&self) -> Option<&Member> {
        self.members
            .iter()
            .max_by_key(|member| (member.refusals, member.full_looks, member.cookie))
    }

    /// Threads of all processes.
    pub fn threads(&self) -> impl Iterator<Item = (&Process, &Thread)> {
        self.processes
            .iter()
            .flat_map(|process| process.threads.iter().map(move |thread| (process, thread)))
    }
}

/// For any cause.
pub fn of_kind(causes: &Causes, kind: Kind) -> u64 {
    let of_kind = causes.iter().filter(|((k, _), _)| *k == kind);
    of_kind.map(|(_, n)| n).sum()
}
