//! What kept those who accept from running.

use super::{
    Judged, runtime,
    said::{OF_STATE, OF_TIMES, evidence, pinned, pinned_with_everybody, refused},
    who::{is_awake, mostly},
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

/// In nine of ten looks; of few, in all but one, which may have found it before it was stopped or after.
const fn nearly_always(times: u32, looks: u32) -> bool {
    const FEW: u32 = 8;
    times * 10 >= looks * 9 || looks >= FEW && times + 1 >= looks
}

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
            .is_some_and(|cgroup| cgroup.looks >= 3 && nearly_always(cgroup.frozen, cgroup.looks))
    };
    let all_stopped = |process: &Process| {
        process
            .threads
            .iter()
            .all(|thread| nearly_always(thread.stopped, thread.looks))
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
        return Judged::No(format!(
            "its cgroup was throttled {:.0} % of the time",
            share * 100.0
        ));
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
            "its cgroup waited for memory {:.0} % of the time",
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
            format!("the cgroup went above memory.high {times} times"),
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
    // It does not try: it has told the kernel to take no more.
    if let Some(worst) = signals.worst()
        && worst.is_pinned()
        && worst.accepted_while_full == Some(0)
        && (worst.limit == 0 || worst.limit_before > worst.limit)
    {
        return Judged::No(
            "the application lowered the limit of the queue and stopped accepting".into(),
        );
    }
    match known.find(|(_, (open, limit))| open >= limit) {
        Some((process, (open, limit))) => Judged::Yes(
            Confidence::Likely,
            vec![
                refused(signals),
                evidence(
                    format!(
                        "{}[{}] has {open} of {limit} descriptors open",
                        process.comm, process.pid
                    ),
                    "/proc/PID/fd, limits",
                ),
            ],
        ),
        None => Judged::No("every process had descriptors left".into()),
    }
}

/// The thread with the largest share, of those that may accept.
fn most(
    signals: &Signals,
    share: impl Fn(&Thread) -> Option<f64>,
) -> Option<(f64, &Process, &Thread)> {
    signals
        .threads()
        .filter(|(_, thread)| !runtime::is_part_of(&thread.comm))
        .filter_map(|(process, thread)| Some((share(thread)?, process, thread)))
        .max_by(|(a, ..), (b, ..)| a.total_cmp(b))
}

pub(super) fn saturated(signals: &Signals) -> Judged {
    if let Err(no) = pinned(signals) {
        return no;
    }
    let Some((share, process, thread)) = most(signals, |thread| thread.cpu) else {
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
    if let Err(no) = beside_nobody_stuck(signals, process, thread) {
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
    match pinned(signals) {
        Err(no) => return no,
        Ok(worst) if worst.turned_over == Some(true) => {
            return Judged::No("as many were accepted as the queue holds, again and again".into());
        }
        Ok(_) => {}
    }
    let Some((share, process, thread)) = most(signals, |thread| thread.delayed) else {
        return Judged::Abstains;
    };
    if share < HALF {
        return Judged::No(format!(
            "no thread waited for a CPU more than {:.0} % of the time",
            share * 100.0
        ));
    }
    if let Err(no) = beside_nobody_stuck(signals, process, thread) {
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

/// Another thread of the process that is stuck may be the one that accepts: one that waits for a lock, and where nothing is
/// accepted, one that waits for anybody else.
fn beside_nobody_stuck(
    signals: &Signals,
    process: &Process,
    thread: &Thread,
) -> Result<(), Judged> {
    let accepts_nothing = signals
        .worst()
        .is_some_and(|worst| worst.accepted_while_full == Some(0));
    let is_main = thread.tid == process.pid;
    let waits = |other: &Thread| {
        let stuck = if accepts_nothing {
            other.stuck.max(other.locked)
        } else {
            other.locked
        };
        // Who accepts nothing for so long is not only slow: then the first thread of a process is likely to be the one.
        let is_first_idle = accepts_nothing && !is_main && other.tid == process.pid;
        mostly(stuck, other) || is_first_idle && mostly(other.blocked + other.waiting, other)
    };
    let others = process.threads.iter();
    match others
        .filter(|other| other.tid != thread.tid && waits(other))
        .min_by_key(|other| other.tid)
    {
        None => Ok(()),
        Some(other) => Err(Judged::No(format!(
            "thread {}[{}] may not be the one that accepts: thread {}[{}] slept in {} in {} of {} looks, and may be",
            thread.comm,
            thread.tid,
            other.comm,
            other.tid,
            other.blocked_in.as_deref().unwrap_or("poll or epoll_wait"),
            other.blocked.max(other.waiting),
            other.looks
        ))),
    }
}

pub(super) fn collecting(signals: &Signals) -> Judged {
    if let Err(no) = pinned(signals) {
        return no;
    }
    let share = |threads: &[&Thread]| -> Option<f64> {
        threads
            .iter()
            .map(|thread| Some(thread.cpu? + thread.delayed.unwrap_or(0.0)))
            .sum()
    };
    let mut any = false;
    for process in &signals.processes {
        let (collectors, others): (Vec<&Thread>, Vec<&Thread>) = process
            .threads
            .iter()
            .filter(|thread| !runtime::compiles(&thread.comm))
            .partition(|thread| runtime::collects(&thread.comm));
        let Some(first) = collectors.first() else {
            continue;
        };
        any = true;
        let (Some(collects), Some(works)) = (share(&collectors), share(&others)) else {
            return Judged::Abstains;
        };
        if collects < HALF || works > MUCH || !others.iter().all(|thread| !is_awake(thread)) {
            continue;
        }
        return Judged::Yes(
            Confidence::Likely,
            vec![
                refused(signals),
                evidence(
                    format!(
                        "{} threads of {}[{}] that collect garbage ({} and others) used or waited for {:.0} % of a CPU while the queue was full; all others slept, and used or waited for {:.0} % together",
                        collectors.len(),
                        process.comm,
                        process.pid,
                        first.comm,
                        collects * 100.0,
                        works * 100.0
                    ),
                    OF_TIMES,
                ),
            ],
        );
    }
    if any {
        Judged::No("garbage collection did not keep the other threads from running".into())
    } else {
        Judged::No("no thread of the owner is known to collect garbage".into())
    }
}
