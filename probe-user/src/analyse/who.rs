//! Who accepts: from how a listener is held, and what threads sleep in, to who waits for its connections and who does not.
//! Reads no clock.

use super::looks::{Queue, ThreadLooks, Wait};
use crate::model::{
    hold::{Hold, Standing},
    signals::{Member, Thread},
};

/// How a listener is held by those who are to accept, the rest of it left out.
pub(super) fn standing(queue: &Queue, acceptors: &[u32]) -> Member {
    let armed = [Standing::Edge, Standing::Level];
    let holds: Vec<&Hold> = queue
        .holds
        .values()
        .filter(|hold| acceptors.contains(&hold.pid))
        .collect();
    let mostly = queue.stood.iter().max_by_key(|(_, looks)| **looks);
    let standing = mostly.map(|(standing, _)| *standing);
    let is_armed = standing.is_some_and(|standing| armed.contains(&standing));
    let modes = holds.iter().filter_map(|hold| hold.nonblocking);
    Member {
        standing,
        was_armed: !is_armed && armed.iter().any(|armed| queue.stood.contains_key(armed)),
        blocking: modes.max().map(|nonblocking| !nonblocking),
        limit_before: queue.limits.0,
        unsampled: queue.owners_in_all.saturating_sub(queue.owners.len()),
        served: (queue.served.asked > 0).then_some(queue.served.connections),
        ..Member::default()
    }
}

/// What a thread of this process waited for, as seen from this listener.
pub(super) fn add(thread: &mut Thread, looks: &ThreadLooks, pid: u32, queue: &Queue) {
    let served = &queue.served;
    let on_client = served.sleepers.get(&thread.tid);
    thread.on_client = on_client
        .filter(|(times, _)| *times == served.asked)
        .map(|(_, peer)| *peer);
    let Some(hold) = queue.holds.get(&pid) else {
        return;
    };
    for (wait, n) in &looks.waits {
        match wait {
            Wait::Accept(fd) if hold.fds.contains(fd) => thread.here += n,
            Wait::Epoll(fd) if hold.epolls.iter().any(|(with, _)| with == fd) => thread.here += n,
            Wait::Files(Some(files)) if files.iter().any(|fd| hold.fds.contains(fd)) => {
                thread.here += n;
            }
            Wait::Accept(_) => thread.elsewhere += n,
            Wait::Epoll(_) => {
                thread.elsewhere += n;
                thread.other_epoll += n;
            }
            // Had it waited for this one, its full queue would have woken it.
            Wait::Files(files) => {
                thread.elsewhere += n;
                let are_several = files.as_ref().is_some_and(|files| files.len() > 1);
                thread.several += if are_several { *n } else { 0 };
            }
        }
    }
}
