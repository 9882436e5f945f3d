//! What rules have in common: where numbers are read, and how they are put.

use super::Judged;
use crate::model::{
    kind::Kind,
    signals::{Member, Signals},
    verdict::{Confidence, Evidence},
};

pub(super) const OF_KERNEL: &str = "the kernel's decisions";
pub(super) const OF_LINES: &str = "SYNs, one by one";
pub(super) const OF_ENDING: &str = "exit_code of the task that closed it";
pub(super) const OF_QUEUE: &str = "sock_diag";
pub(super) const OF_STATE: &str = "/proc/PID/task/TID/stat";
pub(super) const OF_SLEEP: &str = "/proc/PID/task/TID/syscall, wchan";
pub(super) const OF_TIMES: &str = "/proc/PID/task/TID/schedstat";
pub(super) const OF_SYSCTL: &str = "/proc/sys/net";
pub(super) const OF_FDINFO: &str = "/proc/PID/fdinfo";
pub(super) const OF_AGES: &str = "/proc/PID/stat, tcp_info";
pub(super) const OF_HOOKS: &str = "hooks and sock_diag";

pub(super) fn evidence(says: String, from: &'static str) -> Evidence {
    Evidence { says, from }
}

pub(super) fn refused(signals: &Signals) -> Evidence {
    let from = if signals.clients == 1 {
        "one client".to_owned()
    } else {
        format!("{} clients", signals.clients)
    };
    evidence(
        format!(
            "{} refusals because the accept queue was full, of {from}",
            signals.overflows()
        ),
        OF_KERNEL,
    )
}

/// What the kernel itself names as the cause.
pub(super) fn certain_of(signals: &Signals, kind: Kind, causes: &[&str]) -> Judged {
    let found: Vec<Evidence> = causes
        .iter()
        .map(|cause| (cause, signals.of(kind, cause)))
        .filter(|(_, n)| *n > 0)
        .map(|(cause, n)| evidence(format!("{n} {kind} {cause}"), OF_KERNEL))
        .collect();
    if found.is_empty() {
        return none_of(signals, kind, format!("no {kind} for that cause"));
    }
    Judged::Yes(Confidence::Certain, found)
}

/// Nothing of a kind says no only where a hook tells of it.
pub(super) fn none_of(signals: &Signals, kind: Kind, why: String) -> Judged {
    if signals.is_blind_to(kind.name()) {
        Judged::Abstains
    } else {
        Judged::No(why)
    }
}

/// The signals of every rule about whoever accepts: something overflowed and was looked at meanwhile.
pub(super) fn pinned(signals: &Signals) -> Result<&Member, Judged> {
    if signals.overflows() == 0 {
        return Err(Judged::No("no accept queue overflowed".into()));
    }
    let Some(worst) = signals.worst().filter(|worst| worst.looks > 0) else {
        return Err(Judged::Abstains);
    };
    if !worst.is_pinned() {
        return Err(Judged::No(format!(
            "the queue was over its limit for {} ms at a stretch at most",
            worst.longest_full.as_millis()
        )));
    }
    Ok(worst)
}

/// The same, for what only all threads of all owners together can say.
pub(super) fn pinned_with_everybody(signals: &Signals) -> Result<&Member, Judged> {
    let worst = pinned(signals)?;
    if signals.saw_everybody(worst) {
        Ok(worst)
    } else {
        Err(Judged::Abstains)
    }
}
