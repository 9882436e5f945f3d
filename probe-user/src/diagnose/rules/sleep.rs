//! Those who accept ran, or could have, and did something else.

use super::{
    Judged,
    said::{OF_HOOKS, OF_QUEUE, OF_SLEEP, evidence, pinned, pinned_with_everybody, refused},
};
use crate::model::{
    signals::{Member, Process, Signals, Thread},
    verdict::{Confidence, Evidence},
};

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
fn accepts_nothing(signals: &Signals) -> Result<&Member, Judged> {
    let worst = pinned_with_everybody(signals)?;
    match worst.accepted_while_full {
        None => Err(Judged::Abstains),
        Some(0) => Ok(worst),
        Some(n) => Err(Judged::No(format!(
            "{n} connections were accepted while the queue was full"
        ))),
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

pub(super) fn blocked(signals: &Signals) -> Judged {
    let worst = match pinned_with_everybody(signals) {
        Ok(worst) => worst,
        Err(no) => return no,
    };
    let looked: Vec<(&Process, &Thread)> = signals
        .threads()
        .filter(|(_, thread)| thread.looks >= 3)
        .collect();
    if looked.is_empty() {
        return Judged::Abstains;
    }
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
    let mut found = vec![refused(signals), accepted];
    found.extend(places(looked));
    Judged::Yes(Confidence::Likely, found)
}

/// One thread for each place that threads slept in, the first thread of a process before the others.
fn places(mut looked: Vec<(&Process, &Thread)>) -> Vec<Evidence> {
    looked.sort_by_key(|(process, thread)| (process.pid != thread.tid, thread.tid));
    let mut places: Vec<Option<&str>> = Vec::new();
    looked.retain(|(_, thread)| {
        let place = thread.blocked_in.as_deref();
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
    )
}
