//! Whether those who accepted from a listener are gone: who held it when, and what was accepted until when, come in. Reads
//! no clock.

use std::time::Duration;

use super::looks::{Held, Queue};
use crate::model::signals::Missing;

/// Processes that are named.
const NAMED_AT_MOST: usize = 4;

/// Shorter is a child between fork(2) and execve(2), which holds what its parent holds.
const PASSING_NS: u64 = 500_000_000;

/// What is known of those who left since the watch began; `accepted` is how many had been accepted until then. `None` where nobody left.
pub(super) fn missing(
    queue: &Queue,
    (began_ns, _): (u64, u64),
    accepted: impl Fn(u64) -> Option<u64>,
) -> Option<Missing> {
    // What those accepted who had left before is not known.
    let gone = || {
        queue
            .holders_seen
            .gone()
            .filter(|(_, held)| held.last_ns >= began_ns)
    };
    let left = || gone().map(|(_, held)| held.last_ns);
    let (first_ns, since_ns) = (left().min()?, left().max()?);
    let (_, until_ns) = *queue.spans.last()?;
    let before = accepted(since_ns);
    let named = gone().map(|(pid, held)| format!("{}[{pid}]", held.comm));
    let newcomers = queue.holders_seen.newcomers();
    // A helper that inherited it after the last connection was accepted has accepted none of them.
    let took = |held: &Held| {
        let from = if held.first_ns <= began_ns {
            Some(0)
        } else {
            accepted(held.first_ns)
        };
        from.zip(accepted(held.last_ns))
            .is_some_and(|(from, until)| until > from)
    };
    Some(Missing {
        gone: named.take(NAMED_AT_MOST).collect(),
        in_all: gone().count(),
        stayed_long: gone().any(|(_, held)| held.last_ns - held.first_ns >= PASSING_NS),
        may_have_accepted: gone()
            .any(|(_, held)| held.last_ns - held.first_ns >= PASSING_NS && took(held)),
        since: Duration::from_nanos(until_ns.saturating_sub(since_ns)),
        since_first: Duration::from_nanos(until_ns.saturating_sub(first_ns)),
        came: queue.holders_seen.came(),
        accepted_before: before,
        accepted_since: before
            .zip(accepted(until_ns))
            .map(|(before, until)| until.saturating_sub(before)),
        newcomers: newcomers.map(|(pid, _)| pid).collect(),
        is_left_to_one_that_waited: queue.owners.iter().any(|pid| queue.has_polled(*pid)),
    })
}
