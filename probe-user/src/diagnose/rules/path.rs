//! What happens before and behind the listener: firewall, way, memory.

use super::{
    Judged,
    said::{OF_KERNEL, certain_of, evidence, none_of},
};
use crate::model::{kind::Kind, signals::Signals, verdict::Confidence};

/// What netfilter drops for want of room in its table has the same reason: where that table could not be read it may be that.
pub(super) fn rejected_by_firewall(signals: &Signals) -> Judged {
    let is_unknown = signals.conntrack.is_none() && signals.is_host_unread;
    if is_unknown && signals.of(Kind::PacketDrop, "netfilter-drop") > 0 {
        return Judged::Abstains;
    }
    certain_of(signals, Kind::PacketDrop, &["netfilter-drop"])
}

pub(super) fn conntrack_full(signals: &Signals) -> Judged {
    let Some((count, most)) = signals.conntrack else {
        return Judged::Abstains;
    };
    let dropped = signals.of(Kind::PacketDrop, "netfilter-drop");
    let (used, room) = (u64::from(count), u64::from(most));
    let is_full = match signals.untracked {
        // What a rule drops is not among them. By now some entries may have gone.
        Some(untracked) => untracked >= dropped && used * 10 >= room * 9,
        None => used >= room,
    };
    let untracked = signals.untracked.map_or("?".into(), |n| n.to_string());
    let untracked = format!("{untracked} packets dropped because they could not be tracked");
    if dropped == 0 || !is_full {
        let why = format!("{count} of {most} entries, {dropped} SYNs dropped; {untracked}");
        return none_of(signals, Kind::PacketDrop, why);
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            evidence(format!("{dropped} SYNs dropped by netfilter"), OF_KERNEL),
            evidence(
                format!("{count} of {most} entries used"),
                "nf_conntrack_count, nf_conntrack_max",
            ),
            evidence(untracked, "/proc/net/stat/nf_conntrack"),
        ],
    )
}
