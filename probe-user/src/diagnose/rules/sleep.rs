//! Those who accept ran, or could have, and did something else.

use std::time::Duration;

use super::{
    Judged,
    limits::{has_stopped, limit_fell, many_descriptors},
    missing::may_be_missing,
    said::{
        OF_AGES, OF_FDINFO, OF_HOOKS, OF_QUEUE, OF_SLEEP, evidence, pinned, pinned_with_everybody,
        refused,
    },
    who::{self, is_unused, mostly},
};
use crate::model::{
    hold::Standing,
    signals::{Member, Process, Signals, Thread},
    verdict::{Confidence, Evidence},
};

/// Nobody who is only slow accepts nothing for so long.
const LONG: Duration = Duration::from_secs(1);

/// Places where threads slept that are named.
const PLACES_AT_MOST: usize = 4;

pub(super) fn orphan(signals: &Signals) -> Judged {
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
        // Of one that nobody looked at it is not known when it was there.
        .filter(|member| !signals.is_unlooked || member.looks > 0)
        .filter_map(|member| member.accepted)
        .sum();
    if others == 0 && signals.is_unlooked {
        return Judged::Abstains;
    }
    if accepted > 0 || others == 0 {
        return Judged::No(format!(
            "the full one accepted {accepted}, the others {others}"
        ));
    }
    let all_wait_by_epoll = || {
        let mut looked = signals.threads().filter(|(_, thread)| thread.looks >= 3);
        looked.all(|(_, thread)| mostly(thread.other_epoll, thread))
    };
    // Without epoll a worker that is stuck and one that has forgotten the socket look alike.
    match (worst.owners, worst.polled) {
        (0, _) => {}
        (_, Some(true)) => return Judged::No("its owner waits for it".into()),
        // Who accepts by a call that waits needs no epoll, though its process may have one for something else.
        (_, Some(false))
            if worst.blocking == Some(true) && worst.standing.is_some() && !all_wait_by_epoll() =>
        {
            return Judged::Abstains;
        }
        (_, Some(false)) => {}
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

/// What it accepted while the queue was over its limit.
fn took(worst: &Member, accepted: u64) -> Evidence {
    match accepted {
        0 => stood_still(worst),
        n => evidence(
            format!("{n} were accepted while the queue was over its limit"),
            OF_HOOKS,
        ),
    }
}

fn stood_still(worst: &Member) -> Evidence {
    evidence(
        format!(
            "nothing was accepted while the queue was over its limit, {} ms at a stretch",
            worst.longest_full.as_millis()
        ),
        OF_HOOKS,
    )
}

pub(super) fn paused(signals: &Signals) -> Judged {
    let worst = match pinned_with_everybody(signals) {
        Ok(worst) => worst,
        Err(no) => return no,
    };
    // Who is at a limit of connections takes one when another has left.
    let Some(accepted) = worst.accepted_while_full else {
        return Judged::Abstains;
    };
    if worst.turned_over == Some(true) {
        return Judged::No(format!(
            "{accepted} connections were accepted while the queue was full"
        ));
    }
    if is_unused(signals, worst) {
        return Judged::No("nobody holds a connection that came from this listener".into());
    }
    if may_be_missing(worst) {
        return Judged::No("those who accepted from it may be gone".into());
    }
    let says = match stands_paused(signals, worst) {
        Ok(says) => says,
        Err(no) => return no,
    };
    let mut found = vec![refused(signals), took(worst, accepted)];
    found.extend(says);
    found.extend(limit_fell(worst));
    found.extend(signals.processes.iter().filter_map(many_descriptors));
    Judged::Yes(Confidence::Likely, found)
}

/// What tells that those who accept have stopped to ask for connections, rather than to sleep in something else.
fn stands_paused(signals: &Signals, worst: &Member) -> Result<Vec<Evidence>, Judged> {
    let no = |why: &str| Err(Judged::No(why.to_owned()));
    let of_fdinfo = |says: &str| Ok(vec![evidence(says.to_owned(), OF_FDINFO)]);
    if let Some((process, thread, peer)) = who::on_client(signals) {
        return Err(Judged::No(format!(
            "thread {}[{}] of {}[{}] slept on the connection of {peer}",
            thread.comm, thread.tid, process.comm, process.pid
        )));
    }
    let waits = signals
        .threads()
        .any(|(_, thread)| mostly(thread.waiting, thread));
    match worst.standing {
        // Before 0.9 recordings say only whether epoll instances hold it.
        None if worst.accepted_while_full != Some(0) => {
            no("connections were accepted while the queue was full")
        }
        None => match worst.polled {
            None => Err(Judged::Abstains),
            Some(true) => no("an epoll instance of the owner waits for the listener"),
            Some(false) if !waits => no("no thread of the owner waits for files"),
            Some(false) => of_fdinfo("no epoll instance of the owner waits for the listener"),
        },
        Some(Standing::Level) => no("an epoll instance of the owner waits for the listener"),
        Some(Standing::Edge) if worst.accepted_while_full != Some(0) => {
            no("connections were accepted while the queue was full")
        }
        Some(Standing::Edge) if signals.threads().any(|(_, t)| mostly(t.here, t)) => of_fdinfo(
            "its epoll instance reports each connection once (EPOLLET): a thread waits there for the next one, and does not accept those that are queued",
        ),
        Some(Standing::Edge) => no("no thread waits in the epoll instance that holds the listener"),
        Some(Standing::Disarmed) => of_fdinfo(
            "the listener stands in an epoll instance that does not ask for its connections: no interest, or EPOLLONESHOT went off and was not set again",
        ),
        Some(Standing::Absent | Standing::NoEpoll) if worst.was_armed => of_fdinfo(
            "an epoll instance of the owner waited for the listener, and no longer holds it",
        ),
        Some(Standing::Absent | Standing::NoEpoll) => by_idleness(signals, worst),
    }
}

/// Whether it waits for whatever comes first, by epoll or of several files.
fn is_loop(thread: &Thread) -> bool {
    let waits = mostly(thread.other_epoll, thread) || mostly(thread.several, thread);
    waits && !who::has_asked(thread)
}

/// The listener stands in no epoll instance, and threads wait for other files: who accepts has taken it out, unless another
/// thread may be the one. Where accept(2) does not wait, that is one that is stuck; where it does, any that waits by no
/// epoll or several files.
fn by_idleness(signals: &Signals, worst: &Member) -> Result<Vec<Evidence>, Judged> {
    let looked = || signals.threads().filter(|(_, thread)| thread.looks >= 3);
    if !looked().any(|(_, thread)| is_loop(thread)) {
        return Err(Judged::No("no thread of the owner waits for files".into()));
    }
    // Where accept(2) waits, a thread may accept, and run a loop for what it has accepted, one after another. Who has more
    // connections than threads serves them by a loop.
    let has_loop_of_many = worst.served.is_some_and(|served| served > looked().count());
    if worst.blocking == Some(true) && !has_loop_of_many && !has_stopped(signals, worst) {
        return Err(Judged::No(
            "accept(2) on it waits, so its owner may accept without waiting for files".into(),
        ));
    }
    let may_be_another = |thread: &Thread| {
        let is_other = worst.blocking != Some(false) && !is_loop(thread);
        let is_stuck = mostly(thread.stuck, thread) || who::may_have_asked(thread);
        is_other || is_stuck || who::is_awake(thread)
    };
    if let Some((process, thread)) = looked().find(|(_, thread)| may_be_another(thread)) {
        return Err(Judged::No(format!(
            "thread {}[{}] of {}[{}] may be the one that accepts, and does not wait for files by epoll",
            thread.comm, thread.tid, process.comm, process.pid
        )));
    }
    let says = "the owner waits for other files, and none of its epoll instances has the listener";
    Ok(vec![evidence(says.into(), OF_FDINFO)])
}

pub(super) fn blocked(signals: &Signals) -> Judged {
    let worst = match pinned_with_everybody(signals) {
        Ok(worst) => worst,
        Err(no) => return no,
    };
    let looked: Vec<(&Process, &Thread)> = who::may_accept(signals);
    if looked.is_empty() {
        return Judged::Abstains;
    }
    let asleep = match everybody_else_sleeps(signals, worst, &looked) {
        Ok(asleep) => asleep,
        Err(no) => return no,
    };
    let inherited = started_for_one(signals);
    // A parent at a limit of children waits so, and so does one that is to be told by a child that it goes on.
    if inherited.is_some() && asleep.iter().all(|(_, thread)| who::is_idle(thread)) {
        return Judged::No(
            "who has connections may have been started for them, and who is left waits for other files or for signals".into(),
        );
    }
    let accepted = match worst.accepted_while_full {
        Some(n) => took(worst, n),
        None => evidence(
            format!(
                "the queue was over its limit in {} of {} looks",
                worst.full_looks, worst.looks
            ),
            OF_QUEUE,
        ),
    };
    let mut found = vec![refused(signals), accepted];
    found.extend(sampled(signals, worst));
    found.extend(places(asleep));
    found.extend(inherited);
    Judged::Yes(Confidence::Likely, found)
}

/// Those who may accept and slept in something else, who accepts among them.
fn everybody_else_sleeps<'a>(
    signals: &'a Signals,
    worst: &Member,
    looked: &[(&'a Process, &'a Thread)],
) -> Result<Vec<(&'a Process, &'a Thread)>, Judged> {
    let no = |why: &str| Err(Judged::No(why.to_owned()));
    if looked
        .iter()
        .any(|(_, thread)| thread.here * 10 >= thread.looks * 2)
    {
        return no("a thread of the owner waits for connections");
    }
    // Of whom it is not known what they wait for, they may wait for this.
    let unknown = |thread: &Thread| {
        thread
            .waiting
            .saturating_sub(thread.here + thread.elsewhere)
    };
    if looked
        .iter()
        .any(|(_, thread)| unknown(thread) * 10 >= thread.looks * 2)
    {
        return no("a thread of the owner waits for connections, or for files that are not known");
    }
    if worst.accepted_while_full == Some(0) && worst.standing == Some(Standing::Disarmed) {
        return no(
            "the listener stands in an epoll instance that does not ask for its connections",
        );
    }
    if is_unused(signals, worst) {
        return no("nobody holds a connection that came from this listener");
    }
    let is_awake = |(_, thread): &&(&Process, &Thread)| who::is_awake(thread);
    let awake: Vec<_> = looked.iter().filter(is_awake).collect();
    if !awake.is_empty() {
        return beside_awake(worst, looked);
    }
    let is_in_none = matches!(worst.standing, Some(Standing::Absent | Standing::NoEpoll));
    let has_loop = looked.iter().any(|(_, thread)| is_loop(thread));
    // Who waits by epoll for other files does not accept from what is in none.
    let mut rest = looked.to_vec();
    if is_in_none {
        rest.retain(|(_, thread)| !mostly(thread.other_epoll, thread) || who::has_asked(thread));
    }
    if rest.is_empty() {
        return no("every thread of the owner waits for other files");
    }
    let may_be_paused = is_in_none && worst.blocking == Some(false) && has_loop;
    let was_taken_out = is_in_none && worst.was_armed;
    // Who is at a limit of connections has more of them than threads that are stuck.
    let stuck = looked
        .iter()
        .filter(|(_, thread)| mostly(thread.stuck, thread));
    let stuck = stuck.count();
    let each_is_stuck = worst
        .served
        .is_some_and(|served| (1..=stuck).contains(&served));
    let is_told = looked.iter().any(|(_, one)| who::whose(one).is_some()) || each_is_stuck;
    if was_taken_out || may_be_paused && !is_told {
        return no("the owner may have taken the listener out of the files that it waits for");
    }
    Ok(rest)
}

/// Beside a thread that is awake only one that sleeps on a client of this listener, alone, is known to be who accepts: not in
/// an epoll instance, which many threads wait for, and of more than one that sleep so others may serve them.
fn beside_awake<'a>(
    worst: &Member,
    looked: &[(&'a Process, &'a Thread)],
) -> Result<Vec<(&'a Process, &'a Thread)>, Judged> {
    let no = || {
        Err(Judged::No(
            "not every thread of the owner slept all the time".to_owned(),
        ))
    };
    let mut on_client = looked
        .iter()
        .filter(|(_, thread)| who::whose(thread).is_some());
    let Some(&(process, thread)) = on_client.next() else {
        return no();
    };
    let stuck = looked
        .iter()
        .filter(|(_, thread)| mostly(thread.stuck, thread));
    let is_told = worst.accepted_while_full == Some(0)
        && worst.longest_full >= LONG
        && !worst.standing.is_some_and(Standing::is_in)
        && stuck.count() == 1
        && process.pid == thread.tid;
    if !is_told {
        return no();
    }
    Ok(vec![(process, thread)])
}

fn sampled(signals: &Signals, worst: &Member) -> Option<Evidence> {
    let of_processes = (worst.unsampled > 0).then(|| {
        format!(
            "{} of {} processes that hold it",
            signals.processes.len(),
            signals.processes.len() + worst.unsampled
        )
    });
    let has_more = signals.processes.iter().any(|process| !process.is_whole);
    let says = of_processes.or(has_more.then(|| "some of many threads".to_owned()))?;
    Some(evidence(format!("{says} were looked at"), "/proc"))
}

/// Processes that may have been started for the connections that they hold.
fn started_for_one(signals: &Signals) -> Option<Evidence> {
    let started = who::may_be_started_for_one(signals);
    let first = started.iter().find(|one| one.has_inherited)?;
    let others = match started.len() - 1 {
        0 => String::new(),
        n => format!(", as may {n} more"),
    };
    Some(evidence(
        format!(
            "{}[{}] is no older than any connection that it holds of this listener: it may have been started for it, and accept nothing{others}",
            first.comm, first.pid
        ),
        OF_AGES,
    ))
}

/// One thread for each place that threads slept in, the first thread of a process before the others.
fn places(mut looked: Vec<(&Process, &Thread)>) -> Vec<Evidence> {
    looked.sort_by_key(|(process, thread)| {
        let is_stuck = thread.on_client.is_some() || mostly(thread.stuck, thread);
        (!is_stuck, process.pid != thread.tid, thread.tid)
    });
    let mut places: Vec<(Option<&str>, bool)> = Vec::new();
    looked.retain(|(_, thread)| {
        let place = (
            thread.blocked_in.as_deref(),
            thread.elsewhere > thread.blocked,
        );
        let is_new = !places.contains(&place);
        places.push(place);
        is_new
    });
    let threads = looked.into_iter().take(PLACES_AT_MOST);
    threads
        .map(|(process, thread)| slept(process, thread))
        .collect()
}

fn slept(process: &Process, thread: &Thread) -> Evidence {
    let (place, times) = match &thread.blocked_in {
        Some(place) if thread.blocked >= thread.elsewhere => (place.as_str(), thread.blocked),
        _ if thread.other_epoll * 2 > thread.looks => (
            "epoll_wait of an instance without the listener",
            thread.elsewhere,
        ),
        _ if thread.elsewhere > 0 => ("poll or select of other files", thread.elsewhere),
        _ => ("the kernel", thread.blocked),
    };
    let of_client = thread
        .on_client
        .map_or_else(String::new, |peer| format!(", on the connection of {peer}"));
    let awaits = thread
        .awaits
        .as_ref()
        .filter(|_| thread.on_client.is_none());
    let awaits = awaits.map_or_else(String::new, |what| format!(", {what}"));
    evidence(
        format!(
            "thread {}[{}] of {}[{}] slept in {place}{of_client} in {times} of {} looks{awaits}",
            thread.comm, thread.tid, process.comm, process.pid, thread.looks
        ),
        OF_SLEEP,
    )
}
