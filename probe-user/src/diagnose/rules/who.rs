//! Who accepts, as far as signals tell.

use std::net::SocketAddr;

use super::{
    Judged,
    limits::has_stopped,
    runtime,
    said::{OF_FDINFO, OF_QUEUE, evidence, pinned_with_everybody, refused},
};
use crate::model::{
    Awaits,
    hold::Standing,
    signals::{Member, Process, Signals, Thread},
    verdict::Confidence,
};

/// System calls of who has nothing to do until a signal comes.
pub(super) const OF_SIGNALS: [&str; 3] = ["pause", "rt_sigsuspend", "rt_sigtimedwait"];

/// In eight of ten looks, of three or more.
pub(super) const fn mostly(times: u32, thread: &Thread) -> bool {
    thread.looks >= 3 && times * 10 >= thread.looks * 8
}

/// Whether it slept all the time on files that lead to somebody whom it has asked, most likely the DNS: that is no loop which
/// waits for whatever comes.
pub(super) fn has_asked(thread: &Thread) -> bool {
    let waits = thread.awaits.as_ref().is_some_and(Awaits::is_nothing_else);
    waits && mostly(thread.elsewhere.max(thread.blocked), thread)
}

/// The same, or it may have.
pub(super) fn may_have_asked(thread: &Thread) -> bool {
    let waits = thread.awaits.as_ref().is_some_and(Awaits::is_an_answer);
    waits && mostly(thread.elsewhere.max(thread.blocked), thread)
}

/// Whether it was found running, or about to, too often to have slept all the time.
pub(super) const fn is_awake(thread: &Thread) -> bool {
    thread.looks >= 3 && (thread.blocked + thread.waiting) * 10 < thread.looks * 8
}

/// Processes that may have been started for a connection each, and accept nothing then. Beside one that holds such a
/// connection, so may others of the family whose connections have ended, where none of them is known to have accepted.
pub(super) fn may_be_started_for_one(signals: &Signals) -> Vec<&Process> {
    let all = || signals.processes.iter();
    let is_family = !all().any(|one| one.is_child && one.has_accepted);
    if !all().any(|one| one.has_inherited) {
        return Vec::new();
    }
    let may_be = |one: &&Process| one.has_inherited || is_family && one.is_child;
    all().filter(may_be).collect()
}

/// Threads of those who may accept, which were looked at often enough.
pub(super) fn may_accept(signals: &Signals) -> Vec<(&Process, &Thread)> {
    let started_for_one = may_be_started_for_one(signals);
    let is_one = |process: &Process| started_for_one.iter().any(|one| one.pid == process.pid);
    let threads = signals.threads().filter(|(_, thread)| thread.looks >= 3);
    threads.filter(|(process, _)| !is_one(process)).collect()
}

/// Whether it slept all the time until one of some files became ready, or a signal came, and waited for nobody that is known:
/// somebody who has nothing to do may.
pub(super) fn is_idle(thread: &Thread) -> bool {
    let place = thread.blocked_in.as_deref().unwrap_or_default();
    let of_signals = OF_SIGNALS.iter().any(|call| place.starts_with(call));
    let asleep = thread.elsewhere + if of_signals { thread.blocked } else { 0 };
    mostly(asleep, thread) && !mostly(thread.stuck, thread) && !may_have_asked(thread)
}

/// A thread that slept all the time on a connection that came from the listener, and whose that is.
pub(super) fn on_client(signals: &Signals) -> Option<(&Process, &Thread, SocketAddr)> {
    let mut found = signals
        .threads()
        .filter_map(|(process, thread)| Some((process, thread, whose(thread)?)));
    found.next()
}

/// Whose connection of the listener it slept on all the time.
pub(super) fn whose(thread: &Thread) -> Option<SocketAddr> {
    let asleep = thread.blocked.max(thread.elsewhere);
    thread.on_client.filter(|_| mostly(asleep, thread))
}

/// Whether nobody who holds it has anything to do with it: none of them waits for it, has a connection of it or has set its
/// limit lower, all of them wait for something else.
pub(super) fn is_unused(signals: &Signals, worst: &Member) -> bool {
    let in_none = matches!(worst.standing, Some(Standing::Absent | Standing::NoEpoll));
    let mut looked = signals
        .threads()
        .filter(|(_, thread)| thread.looks >= 3)
        .peekable();
    let is_somebody = looked.peek().is_some();
    // A poll of a single socket waits for a peer, as a call does.
    let is_idle = |thread: &Thread| {
        let asleep = mostly(thread.elsewhere, thread) || mostly(thread.blocked, thread);
        asleep && !may_have_asked(thread) && !mostly(thread.stuck, thread)
    };
    let mut waits = false;
    let are_idle = looked.all(|(_, thread)| {
        waits |= mostly(thread.elsewhere, thread);
        is_idle(thread)
    });
    let took_nothing = worst.accepted == Some(0) && worst.served == Some(0);
    let closed_none = signals.closed_here.is_none_or(|n| n == 0);
    let is_nobody = took_nothing && closed_none && !worst.was_armed && !has_stopped(signals, worst);
    in_none && is_nobody && is_somebody && are_idle && waits
}

/// Where accept(2) waits, who accepts needs no poll and no epoll: a thread that sleeps in anything else may have come from
/// there, and come back.
fn may_be_on_its_way<'a>(
    signals: &'a Signals,
    worst: &Member,
) -> Option<(&'a Process, &'a Thread)> {
    let is_asleep = |thread: &Thread| mostly(thread.blocked + thread.elsewhere, thread);
    let mut asleep = signals
        .threads()
        .filter(|(_, thread)| is_asleep(thread) && !runtime::is_part_of(&thread.comm));
    asleep.next().filter(|_| worst.blocking == Some(true))
}

pub(super) fn unused(signals: &Signals) -> Judged {
    let worst = match pinned_with_everybody(signals) {
        Ok(worst) => worst,
        Err(no) => return no,
    };
    let (Some(accepted), Some(served), Some(_)) = (worst.accepted, worst.served, worst.standing)
    else {
        return Judged::Abstains;
    };
    if accepted > 0 || served > 0 {
        return Judged::No(format!(
            "{accepted} were accepted; open connections that came from it: {served}"
        ));
    }
    match signals.closed_here {
        Some(0) => {}
        Some(n) => {
            return Judged::No(format!(
                "this side has closed {n} connections of its port that the kernel still knows: somebody accepted them"
            ));
        }
        None if is_unused(signals, worst) => return Judged::Abstains,
        None => {}
    }
    if !is_unused(signals, worst) {
        return Judged::No("its owner may accept from it".into());
    }
    if let Some((process, thread)) = may_be_on_its_way(signals, worst) {
        return Judged::No(format!(
            "thread {}[{}] of {}[{}] may be the one that accepts, and slept in {}",
            thread.comm,
            thread.tid,
            process.comm,
            process.pid,
            thread.blocked_in.as_deref().unwrap_or("poll or epoll_wait")
        ));
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            refused(signals),
            evidence(
                "nothing was accepted, and nobody holds a connection that came from this listener".into(),
                OF_QUEUE,
            ),
            evidence(
                "its owners wait for other things, and no epoll instance of theirs has the listener".into(),
                OF_FDINFO,
            ),
        ],
    )
}
