//! What tells that somebody has stopped to accept at a limit of its own: the limit of the queue, and descriptors.

use super::said::{OF_QUEUE, evidence};
use crate::model::{
    signals::{Member, Process, Signals},
    verdict::Evidence,
};

/// Whether who accepts has called listen(2) again to take no more, and so is somebody. A limit of 0 may be the one that it
/// began with, but not where descriptors ran short.
pub(super) fn has_stopped(signals: &Signals, worst: &Member) -> bool {
    let fell = worst.limit_before > worst.limit || holds_too_many(worst);
    let is_short = signals
        .processes
        .iter()
        .any(|process| many_descriptors(process).is_some());
    fell || worst.limit == 0 && is_short
}

/// CPUs that may each find the last place at once, and take it: nothing is locked between (net/ipv4/tcp_ipv4.c:
/// tcp_v4_syn_recv_sock, 5.10 to 6.18).
const AT_ONCE: u32 = 64;

/// Whether the queue holds more than it could have let in.
const fn holds_too_many(worst: &Member) -> bool {
    worst.peak > worst.limit.saturating_add(1 + AT_ONCE)
}

/// The limit of the queue was set lower, as some applications do to take no more.
pub(super) fn limit_fell(worst: &Member) -> Option<Evidence> {
    let held = holds_too_many(worst);
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
