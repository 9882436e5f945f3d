//! Whether somebody listens where clients look.

use super::{
    Judged,
    said::{OF_KERNEL, OF_QUEUE, certain_of, evidence, none_of},
};
use crate::model::{kind::Kind, signals::Signals, verdict::Confidence};

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

pub(super) fn restarting(signals: &Signals) -> Judged {
    let missed = signals.of(Kind::Refused, "listener-closed")
        + signals.of(Kind::Refused, "not-yet-listening");
    if missed == 0 {
        let why = "nobody was refused by a listener that came or went".into();
        return none_of(signals, Kind::Refused, why);
    }
    // Whether the one that was closed came back was not looked at.
    if signals.is_unlooked && signals.of(Kind::Refused, "not-yet-listening") == 0 {
        return Judged::Abstains;
    }
    if signals.members.is_empty() && !signals.is_unlooked {
        return Judged::No("nobody listens there again".into());
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
    let missed =
        signals.of(Kind::Refused, "no-listener") + signals.of(Kind::Refused, "listener-closed");
    if missed == 0 {
        let why = "nobody was refused for want of a listener".into();
        return none_of(signals, Kind::Refused, why);
    }
    if signals.of(Kind::Refused, "no-listener") == 0 {
        if signals.is_unlooked {
            return Judged::Abstains;
        }
        if !signals.members.is_empty() {
            return Judged::No("somebody listens there".into());
        }
    }
    let mut found = vec![evidence(
        format!("{missed} connections refused with a reset"),
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
