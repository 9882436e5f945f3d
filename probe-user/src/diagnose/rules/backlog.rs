//! How long the accept queue is.

use super::{
    Judged,
    said::{OF_HOOKS, OF_KERNEL, OF_QUEUE, OF_SYSCTL, evidence, refused},
};
use crate::model::{
    kind::Kind,
    signals::{Member, Signals},
    verdict::{Confidence, Evidence},
};

/// Longer than a client is likely to wait for its first byte.
const LONG_WAIT_MS: u128 = 1000;

pub(super) fn zero(signals: &Signals) -> Judged {
    let Some(worst) = signals.worst() else {
        return Judged::Abstains;
    };
    if worst.limit > 0 {
        return Judged::No(format!("the limit is {}", worst.limit));
    }
    if worst.limit_before > 0 {
        return Judged::No(format!("the limit was {} before", worst.limit_before));
    }
    // It may have been set to 0 by who stopped accepting, before anybody looked.
    if worst.is_pinned() && worst.accepted_while_full == Some(0) {
        return Judged::No("nothing was accepted, and a longer queue would be full too".into());
    }
    if worst.peak > 1 {
        return Judged::No(format!(
            "the queue held {}: the limit was higher",
            worst.peak
        ));
    }
    let happened = signals.refusals + signals.of_kind(Kind::CookieSent);
    if happened == 0 {
        return Judged::No("nothing was refused".into());
    }
    let (confidence, looks) = match worst.looks {
        0 => (Confidence::Likely, String::new()),
        looks => (Confidence::Certain, format!(" in each of {looks} looks")),
    };
    Judged::Yes(
        confidence,
        vec![
            evidence(
                format!("the limit of the accept queue is 0{looks}"),
                OF_QUEUE,
            ),
            evidence(format!("{happened} refusals and SYN cookies"), OF_KERNEL),
        ],
    )
}

pub(super) fn imbalance(signals: &Signals) -> Judged {
    if signals.overflows() == 0 {
        return Judged::No("no accept queue overflowed".into());
    }
    if signals.members.len() < 2 {
        return Judged::No("there is one listener only".into());
    }
    let Some(worst) = signals.worst() else {
        return Judged::Abstains;
    };
    let all: u64 = signals.members.iter().map(|member| member.refusals).sum();
    let others: Vec<&Member> = signals
        .members
        .iter()
        .filter(|member| member.cookie != worst.cookie && worst.is_beside(member))
        // Of one that nobody looked at it is not known when it was there.
        .filter(|member| !signals.is_unlooked || member.looks > 0 && worst.looks > 0)
        .collect();
    if others.is_empty() && signals.is_unlooked {
        return Judged::Abstains;
    }
    if others.is_empty() {
        return Judged::No("no other listener was there at the same time".into());
    }
    let stands_still = worst.is_pinned() && worst.accepted_while_full == Some(0);
    if stands_still || worst.accepted == Some(0) {
        return Judged::No(
            "nothing was accepted from the full one: its acceptor stands still".into(),
        );
    }
    let others_full = others
        .iter()
        .any(|member| u64::from(member.peak) * 2 > u64::from(member.limit));
    if worst.refusals * 10 < all * 8 || others_full {
        return Judged::No("another member was full too".into());
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            evidence(
                format!(
                    "{} of {all} refusals at one of {} members, whose queue held {} of {}",
                    worst.refusals,
                    signals.members.len(),
                    worst.peak,
                    worst.limit
                ),
                OF_HOOKS,
            ),
            evidence("no other queue was more than half full".into(), OF_HOOKS),
        ],
    )
}

/// The queue was full for moments only, and was drained each time.
fn bursts(signals: &Signals) -> Result<&Member, Judged> {
    if signals.overflows() == 0 {
        return Err(Judged::No("no accept queue overflowed".into()));
    }
    let Some(worst) = signals.worst().filter(|worst| worst.looks > 0) else {
        return Err(Judged::Abstains);
    };
    let Some(accepted) = worst.accepted else {
        return Err(Judged::Abstains);
    };
    // Nor does it matter then how often a look found it full: who came did not stop for a while.
    if worst.turned_over == Some(true) && accepted >= worst.refusals {
        return Ok(worst);
    }
    if worst.is_pinned() {
        return Err(Judged::No(format!(
            "the queue was over its limit for {} ms at a stretch",
            worst.longest_full.as_millis()
        )));
    }
    if worst.has_stood_still() {
        return Err(Judged::No(format!(
            "nothing was accepted for {} ms at least while connections waited",
            worst.stood_still.as_millis()
        )));
    }
    if worst.full_looks * 5 > worst.looks || worst.drained_looks * 2 < worst.looks {
        return Err(Judged::No(format!(
            "the queue was over its limit in {} of {} looks, and drained in {}",
            worst.full_looks, worst.looks, worst.drained_looks
        )));
    }
    if accepted < worst.refusals.min(u64::from(worst.limit)) {
        return Err(Judged::No(format!("only {accepted} were accepted")));
    }
    Ok(worst)
}

fn burst_evidence(signals: &Signals, worst: &Member) -> Vec<Evidence> {
    let was = if worst.drained_looks * 2 < worst.looks {
        format!(
            "whenever it was over its limit, {} or more were accepted each 200 ms",
            u64::from(worst.limit) + 1
        )
    } else {
        format!(
            "it was at most a tenth full in {} of {} looks",
            worst.drained_looks, worst.looks
        )
    };
    vec![
        refused(signals),
        evidence(
            format!("the queue held {} of {}; {was}", worst.peak, worst.limit),
            OF_QUEUE,
        ),
        evidence(
            format!("{} were accepted", worst.accepted.unwrap_or(0)),
            OF_HOOKS,
        ),
    ]
}

pub(super) fn clamped(signals: &Signals) -> Judged {
    let worst = match bursts(signals) {
        Ok(worst) => worst,
        Err(no) => return no,
    };
    let Some(somaxconn) = signals.sysctls.somaxconn else {
        return Judged::Abstains;
    };
    let before = signals
        .somaxconn_before
        .filter(|before| *before != somaxconn && *before == worst.limit);
    let says = match before {
        Some(before) => format!(
            "net.core.somaxconn was {before} and is {somaxconn} now: that changes nothing until listen(2) is called again"
        ),
        None if worst.limit == somaxconn => format!(
            "net.core.somaxconn is {somaxconn}: the application may have asked for more, or for the same"
        ),
        None => {
            return Judged::No(format!(
                "the limit is {}, somaxconn {somaxconn}",
                worst.limit
            ));
        }
    };
    let mut found = burst_evidence(signals, worst);
    found.push(evidence(says, OF_SYSCTL));
    Judged::Yes(Confidence::Likely, found)
}

pub(super) fn too_small(signals: &Signals) -> Judged {
    let worst = match bursts(signals) {
        Ok(worst) => worst,
        Err(no) => return no,
    };
    let Some(somaxconn) = signals.sysctls.somaxconn else {
        return Judged::Abstains;
    };
    if worst.limit >= somaxconn {
        return Judged::No(format!("somaxconn is {somaxconn}"));
    }
    let mut found = burst_evidence(signals, worst);
    found.push(evidence(
        format!(
            "net.core.somaxconn is {somaxconn} now: when listen(2) was called, that or the application's argument was {}",
            worst.limit
        ),
        OF_SYSCTL,
    ));
    Judged::Yes(Confidence::Likely, found)
}

pub(super) fn too_deep(signals: &Signals) -> Judged {
    if signals.anybody_overflowed() {
        return Judged::No("accept queues overflowed".into());
    }
    let waits = signals
        .members
        .iter()
        .filter_map(|member| Some((member.wait?, member)));
    let Some(((p99, max), member)) = waits.max_by_key(|((p99, _), _)| *p99) else {
        return Judged::Abstains;
    };
    if p99.as_millis() < LONG_WAIT_MS {
        return Judged::No(format!("99 % waited {} ms or less", p99.as_millis()));
    }
    Judged::Yes(
        Confidence::Likely,
        vec![evidence(
            format!(
                "1 % of connections waited more than {} ms for accept(2), the longest {} ms; the queue held {} of {}",
                p99.as_millis(),
                max.as_millis(),
                member.peak,
                member.limit
            ),
            OF_HOOKS,
        )],
    )
}
