//! Whether somebody listens where clients look.

use super::{
    Judged,
    said::{OF_ENDING, OF_KERNEL, OF_QUEUE, certain_of, evidence, none_of},
};
use crate::model::{
    kind::Kind,
    signals::Signals,
    verdict::{Confidence, Evidence},
};

/// Deaths that are told one by one.
const DEATHS_AT_MOST: usize = 4;

pub(super) fn elsewhere(signals: &Signals) -> Judged {
    let judged = certain_of(
        signals,
        Kind::Refused,
        &[
            "listener-on-other-address",
            "listener-on-other-device",
            "listener-in-other-namespace",
        ],
    );
    let Judged::Yes(mut confidence, mut found) = judged else {
        return judged;
    };
    let here = signals.of(Kind::Refused, "listener-on-other-address")
        + signals.of(Kind::Refused, "listener-on-other-device");
    if here == 0 && signals.is_gap {
        return Judged::No("somebody listened here as well, before or after".into());
    }
    if here == 0 {
        // Who listens in another namespace may have nothing to do with whom clients look for.
        confidence = Confidence::Likely;
    }
    found.extend(
        signals
            .elsewhere
            .iter()
            .map(|place| evidence(format!("listening: {place}"), OF_QUEUE)),
    );
    Judged::Yes(confidence, found)
}

/// Refused while there was no listener, where there was one before or after.
fn missed(signals: &Signals) -> u64 {
    let of = |cause| signals.of(Kind::Refused, cause);
    let in_gap = if signals.is_gap {
        of("no-listener") + of("listener-in-other-namespace")
    } else {
        0
    };
    of("listener-closed") + of("not-yet-listening") + in_gap
}

pub(super) fn died(signals: &Signals) -> Judged {
    let missed = missed(signals);
    let reset = signals.of(Kind::ListenerClosed, "queued-connections-reset");
    if missed + reset == 0 {
        let why = "nobody came while nobody listened, or waited in a queue that was closed".into();
        return none_of(signals, Kind::ListenerClosed, why);
    }
    let deaths = signals.deaths.iter();
    let mut found: Vec<Evidence> = deaths
        .filter(|death| !death.ending.is_asked_for() && (!death.outlived || missed == 0))
        .map(|death| {
            let again = match (death.back, &death.by) {
                (Some(after), Some(by)) if death.stays => format!(
                    "after {} ms {by} listened there again, and still does",
                    after.as_millis()
                ),
                (Some(after), Some(by)) => {
                    format!("after {} ms {by} listened there again", after.as_millis())
                }
                (Some(after), None) => {
                    format!(
                        "somebody listened there again after {} ms",
                        after.as_millis()
                    )
                }
                (None, _) => "nobody was seen to listen there again".into(),
            };
            evidence(
                format!("{} {}; {again}", death.who, death.ending),
                OF_ENDING,
            )
        })
        .collect();
    let more = found.len().saturating_sub(DEATHS_AT_MOST);
    if more > 0 {
        let last = found.split_off(found.len() - 1);
        found.truncate(DEATHS_AT_MOST - 1);
        found.push(evidence(format!("and {more} more"), OF_ENDING));
        // Who listens now is told with the last one.
        found.extend(last);
    }
    if found.is_empty() {
        let why = "whoever closed the listener did not die, or was asked to end".into();
        return none_of(signals, Kind::ListenerClosed, why);
    }
    if missed > 0 {
        let says = format!("{missed} refused while nobody listened");
        found.push(evidence(says, OF_KERNEL));
    }
    if reset > 0 {
        let times = match reset {
            1 => "once".to_owned(),
            n => format!("{n} times"),
        };
        let says = format!("closed {times} with connections in its queue, which were reset");
        found.push(evidence(says, OF_KERNEL));
    }
    Judged::Yes(Confidence::Certain, found)
}

pub(super) fn restarting(signals: &Signals) -> Judged {
    let missed = missed(signals);
    if missed == 0 {
        let why = "nobody was refused by a listener that came or went".into();
        return none_of(signals, Kind::Refused, why);
    }
    let came = signals.of(Kind::Refused, "not-yet-listening");
    if came == 0 {
        // Whether the one that was closed came back was not looked at.
        if signals.is_unlooked {
            return Judged::Abstains;
        }
        if signals.members.is_empty() || signals.is_final {
            return Judged::No("nobody listens there again".into());
        }
    }
    let mut found = vec![evidence(
        format!("{missed} refused between two listeners"),
        OF_KERNEL,
    )];
    found.extend(
        signals
            .closed_by
            .iter()
            .map(|who| evidence(format!("closed by {who}"), OF_KERNEL)),
    );
    Judged::Yes(Confidence::Certain, found)
}

pub(super) fn no_listener(signals: &Signals) -> Judged {
    let in_gap = if signals.is_gap {
        signals.of(Kind::Refused, "listener-in-other-namespace")
    } else {
        0
    };
    let missed = in_gap
        + signals.of(Kind::Refused, "no-listener")
        + signals.of(Kind::Refused, "listener-closed");
    if missed == 0 {
        let why = "nobody was refused because nobody listened".into();
        return none_of(signals, Kind::Refused, why);
    }
    let is_there = !signals.members.is_empty() && !signals.is_final;
    if signals.is_gap && is_there {
        return Judged::No("somebody listens there".into());
    }
    if signals.of(Kind::Refused, "no-listener") == 0 {
        if signals.is_unlooked {
            return Judged::Abstains;
        }
        if is_there {
            return Judged::No("somebody listens there".into());
        }
    }
    let mut found = vec![evidence(
        match missed {
            1 => "1 connection refused with a reset".into(),
            missed => format!("{missed} connections refused with a reset"),
        },
        OF_KERNEL,
    )];
    found.extend(
        signals
            .closed_by
            .iter()
            .map(|who| evidence(format!("closed by {who}"), OF_KERNEL)),
    );
    Judged::Yes(Confidence::Certain, found)
}
