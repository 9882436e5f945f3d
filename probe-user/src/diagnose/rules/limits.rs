//! What tells that somebody has stopped to accept at a limit of its own: the limit of the queue, and descriptors.

use super::said::{OF_QUEUE, evidence};
use crate::model::{
    signals::{Member, Process, Signals},
    verdict::Evidence,
};

/// Whether who accepts has called listen(2) again to take no more, and so is somebody. A limit of 0 may be the one that it
/// began with, but not where descriptors ran short.
pub(super) fn has_stopped(signals: &Signals, worst: &Member) -> bool {
    let fell = worst.limit_before > worst.limit || worst.peak > worst.limit.saturating_add(1);
    let is_short = signals
        .processes
        .iter()
        .any(|process| many_descriptors(process).is_some());
    fell || worst.limit == 0 && is_short
}

/// The limit of the queue was set lower, as some applications do to take no more.
pub(super) fn limit_fell(worst: &Member) -> Option<Evidence> {
    let held = worst.peak > worst.limit.saturating_add(1);
    let says = if worst.limit_before > worst.limit {
        format!(
            "the limit of its queue was {} and is {} now",
            worst.limit_before, worst.limit
        )
    } else if worst.limit == 0 {
        "the limit of its queue is 0: some applications call listen(2) again to take no more"
            .to_owned()
    } else if held {
        format!(
            "its queue holds {}, more than its limit of {} lets in: that was higher",
            worst.peak, worst.limit
        )
    } else {
        return None;
    };
    Some(evidence(says, OF_QUEUE))
}

/// A process that keeps some descriptors in reserve stops before they are used up.
pub(super) fn many_descriptors(process: &Process) -> Option<Evidence> {
    let (open, limit) = process.fds?;
    (open.saturating_mul(2) >= limit).then(|| {
        evidence(
            format!(
                "{}[{}] has {open} of {limit} descriptors open",
                process.comm, process.pid
            ),
            "/proc/PID/fd, limits",
        )
    })
}
