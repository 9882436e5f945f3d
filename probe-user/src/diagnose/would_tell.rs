//! What would tell a cause that nobody could tell: from the signals that were missing, or that contradict each other, to
//! the permission, the option or the longer look that gives them.

use crate::model::signals::{Member, Process, Signals, Thread};

const AS_ROOT: &str = "run as root, or with CAP_SYS_PTRACE, on the host";

/// What to do about it, the surest first.
pub(super) fn would_tell(signals: &Signals) -> Vec<String> {
    let mut tells = if signals.overflows() > 0 {
        of_queue(signals)
    } else {
        of_the_rest(signals)
    };
    if !signals.adds_up {
        tells.push(
            "not all that the kernel counted was seen: another way of watching may see it (--tier; `whydrop check` says which this kernel has)".into(),
        );
    }
    if tells.is_empty() {
        tells.push(format!(
            "watch for longer, while it happens: these were {:.0} s (--for 10m)",
            signals.watched.as_secs_f64()
        ));
    }
    tells
}

fn of_the_rest(signals: &Signals) -> Vec<String> {
    let mut tells = Vec::new();
    if signals.is_unlooked || signals.members.is_empty() {
        tells.push(
            "whether somebody listens there, and how many that one takes, was not looked at: ask `whydrop why` of this port while it happens".into(),
        );
    }
    tells
}

fn of_queue(signals: &Signals) -> Vec<String> {
    let Some(worst) = signals.worst().filter(|worst| worst.looks > 0) else {
        return vec![
            "no look found the listener, or who holds it: ask `whydrop why` of its port while it happens, which looks 20 times a second".into(),
        ];
    };
    if worst.is_pinned() {
        of_holders(signals, worst)
    } else {
        of_bursts(signals, worst)
    }
}

/// The queue was full too shortly, or too seldom, to tell who stands still.
fn of_bursts(signals: &Signals, worst: &Member) -> Vec<String> {
    let mut tells = Vec::new();
    if signals.sysctls.somaxconn.is_none() {
        tells.push(
            "net.core.somaxconn of its namespace could not be read, so whose limit it is is not known: run as root (CAP_SYS_ADMIN)".into(),
        );
    }
    if worst.accepted.is_none() {
        tells.push(
            "how many were accepted is not known on this tier: --tier trampoline or kprobe count them, where this kernel has them (`whydrop check`)".into(),
        );
    }
    tells.push(format!(
        "watch for longer, while it happens (--for 10m): the queue was over its limit in {} of {} looks and {} ms at a stretch; who stands still shows in three looks and 100 ms",
        worst.full_looks,
        worst.looks,
        worst.longest_full.as_millis()
    ));
    tells
}

/// The queue stood full, and what those who hold it did does not tell why.
fn of_holders(signals: &Signals, worst: &Member) -> Vec<String> {
    let mut tells = Vec::new();
    let looked = signals.processes.len();
    if worst.owners == 0 {
        tells.push(format!(
            "which process holds the listener is not known: {AS_ROOT}"
        ));
    } else if !signals.saw_everybody(worst) {
        tells.push(format!(
            "{} of {} processes that held the listener could not be looked at: they ended, or it takes more privilege ({AS_ROOT})",
            worst.owners.saturating_sub(looked),
            worst.owners
        ));
    }
    if worst.accepted_while_full.is_none() {
        tells.push(
            "what was accepted while the queue was full is not known: a watch that is recorded needs --stats 100ms, and `whydrop why` a listener that is there while it looks".into(),
        );
    }
    if worst.standing.is_none() && looked > 0 {
        tells.push(format!(
            "how the listener is held, and in which epoll instance, could not be read (/proc/PID/fdinfo): {AS_ROOT}"
        ));
    }
    tells.extend(of_threads(signals));
    tells
}

fn of_threads(signals: &Signals) -> Vec<String> {
    let all: Vec<(&Process, &Thread)> = signals.threads().collect();
    let mut tells = Vec::new();
    if !all.is_empty() && all.iter().all(|(_, thread)| thread.looks < 3) {
        tells.push(
            "its threads were looked at fewer than three times: watch for longer, while it happens (--for 10m)".into(),
        );
        return tells;
    }
    let unread = |thread: &Thread| {
        let known = thread.stopped + thread.blocked + thread.waiting;
        known == 0 && thread.cpu.is_none()
    };
    if let Some((process, thread)) = all.iter().find(|(_, thread)| unread(thread)) {
        tells.push(format!(
            "what thread {} does could not be read (/proc/{}/task/{}/syscall, schedstat): {AS_ROOT}",
            name(thread),
            process.pid,
            thread.tid
        ));
    }
    let waits_unknown = |thread: &Thread| {
        let known = thread.here + thread.elsewhere;
        (thread.waiting.saturating_sub(known)) * 10 >= thread.looks * 2
    };
    if let Some((process, thread)) = all.iter().find(|(_, thread)| waits_unknown(thread)) {
        tells.push(format!(
            "which files thread {} waits for could not be read (/proc/{}/mem): {AS_ROOT}",
            name(thread),
            process.pid
        ));
    }
    if tells.is_empty() {
        let accepts = was_forked(signals).or_else(|| which_accepts(&all));
        tells.extend(accepts);
    }
    tells
}

/// A process that may have been started for the connection that it holds, and then accepts nothing.
fn was_forked(signals: &Signals) -> Option<String> {
    let processes = || signals.processes.iter();
    let child = processes().find(|one| one.has_inherited)?;
    let other = processes().find(|one| !one.is_child && !one.has_inherited);
    let other = other.unwrap_or(child);
    Some(format!(
        "whether {}[{}] accepts, or was forked for the connection that it holds, which it is no older than: `strace -f -e trace=accept,accept4 -p {}` shows who accepts when the queue moves again, and the log of the program whether it is at its limit of processes",
        child.comm, child.pid, other.pid
    ))
}

/// Several threads did different things, and one of them accepts.
fn which_accepts(all: &[(&Process, &Thread)]) -> Option<String> {
    let is_awake = |thread: &Thread| (thread.blocked + thread.waiting) * 10 < thread.looks * 8;
    let looked = || all.iter().filter(|(_, thread)| thread.looks >= 3);
    let awake = looked().find(|(_, thread)| is_awake(thread));
    // Who waits for files is likely to wait for the right ones.
    let asleep = looked().filter(|(_, thread)| !is_awake(thread));
    let asleep = asleep.max_by_key(|(_, thread)| thread.blocked);
    match (awake, asleep) {
        (Some((process, runs)), Some((_, sleeps))) => Some(format!(
            "which thread accepts: {}, which ran, or {}, which slept in {}; `strace -f -e trace=accept,accept4 -p {}` shows it when the queue moves again, and so does what the program calls its threads",
            name(runs),
            name(sleeps),
            sleeps.blocked_in.as_deref().unwrap_or("poll or epoll_wait"),
            process.pid
        )),
        (Some((process, runs)), None) => Some(format!(
            "what {} does when it runs, which it did now and then: `perf top -p {}`, or the profiler of its language",
            name(runs),
            process.pid
        )),
        (None, Some((process, sleeps))) => Some(format!(
            "who wakes {}, which slept in {}: its stack (`cat /proc/{}/task/{}/stack`, or gdb), and its log",
            name(sleeps),
            sleeps.blocked_in.as_deref().unwrap_or("poll or epoll_wait"),
            process.pid,
            sleeps.tid
        )),
        (None, None) => None,
    }
}

fn name(thread: &Thread) -> String {
    format!("{}[{}]", thread.comm, thread.tid)
}
