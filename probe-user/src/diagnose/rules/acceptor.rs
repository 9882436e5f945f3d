//! What kept those who accept from running.

use super::{
    Judged,
    said::{OF_STATE, OF_TIMES, evidence, pinned, pinned_with_everybody, refused},
};
use crate::model::{
    signals::{Process, Signals, Thread},
    verdict::Confidence,
};

/// A share of the time that is no accident.
const MUCH: f64 = 0.2;
/// More than that is the better part.
const HALF: f64 = 0.5;
/// A thread that does nothing else.
const FULL: f64 = 0.8;

pub(super) fn stopped(signals: &Signals) -> Judged {
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

pub(super) fn throttled(signals: &Signals) -> Judged {
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

pub(super) fn memory_stalled(signals: &Signals) -> Judged {
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

pub(super) fn fd_exhausted(signals: &Signals) -> Judged {
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

pub(super) fn saturated(signals: &Signals) -> Judged {
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
    if let Err(no) = behind_no_lock(process, thread) {
        return no;
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

pub(super) fn starved(signals: &Signals) -> Judged {
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
    if let Err(no) = behind_no_lock(process, thread) {
        return no;
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

/// A thread that has a lock may not be the one that accepts: that one may wait for it.
fn behind_no_lock(process: &Process, thread: &Thread) -> Result<(), Judged> {
    let others = process
        .threads
        .iter()
        .filter(|other| other.tid != thread.tid && other.looks >= 3);
    match others
        .filter(|other| other.locked * 10 >= other.looks * 8)
        .min_by_key(|other| other.tid)
    {
        None => Ok(()),
        Some(other) => Err(Judged::No(format!(
            "that of thread {}[{}] it may not be: thread {}[{}] waited for a lock in {} of {} looks, and which of them accepts is not told",
            thread.comm, thread.tid, other.comm, other.tid, other.locked, other.looks
        ))),
    }
}
