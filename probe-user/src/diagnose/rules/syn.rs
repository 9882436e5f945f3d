//! The SYN queue.

use super::{
    Judged, lost,
    said::{OF_HOOKS, OF_KERNEL, OF_LINES, OF_SYSCTL, evidence},
};
use crate::model::{
    kind::Kind,
    signals::{Causes, Signals, of_kind},
    verdict::Confidence,
};

/// SYNs beyond the SYN queue that make a flood or a burst of them.
const MANY: u64 = 50;

/// Why a full SYN queue says nothing.
const BEHIND: &str = "requests stay in the SYN queue while the accept queue is full";

/// SYNs for which the SYN queue had no room.
fn beyond(causes: &Causes) -> u64 {
    let of = |kind: Kind, cause: &str| causes.get(&(kind, cause.to_owned())).copied().unwrap_or(0);
    of_kind(causes, Kind::RequestDrop)
        + of(Kind::CookieSent, "syn-queue-full")
        + of(Kind::ListenDrop, "max-syn-backlog")
}

/// Those of all clients, and the connections established meanwhile. Who attacks is not who asks.
fn pressure(signals: &Signals) -> Result<(u64, u64), Judged> {
    if beyond(&signals.causes) == 0 {
        return Err(Judged::No("the SYN queue had room for every SYN".into()));
    }
    if signals.anybody_overflowed() {
        return Err(Judged::No(BEHIND.into()));
    }
    if signals.members.is_empty() {
        return Err(Judged::Abstains);
    }
    let members = signals.members.iter();
    let established = members.map(|member| member.established).sum();
    Ok((beyond(signals.everybody()), established))
}

fn yes(signals: &Signals, beyond: u64, established: u64) -> Judged {
    let mut found = vec![
        evidence(
            format!("the SYN queue had no room for {beyond} SYNs"),
            OF_KERNEL,
        ),
        evidence(
            format!("{established} connections were established meanwhile"),
            OF_HOOKS,
        ),
    ];
    let tries = signals.tries;
    if tries.attempts > 0 {
        let says = format!(
            "of {} attempts, from {} addresses, {} sent their SYN again",
            tries.attempts, tries.sources, tries.repeated
        );
        found.push(evidence(says, OF_LINES));
    }
    Judged::Yes(Confidence::Likely, found)
}

pub(super) fn defer_accept(signals: &Signals) -> Judged {
    match pressure(signals) {
        Ok((beyond, _)) => lost::defer_accept(signals, beyond),
        Err(no) => no,
    }
}

pub(super) fn flood(signals: &Signals) -> Judged {
    let (beyond, established) = match pressure(signals) {
        Ok(pressure) => pressure,
        Err(no) => return no,
    };
    if beyond < MANY {
        return Judged::No(format!("the SYN queue had no room for {beyond} SYNs"));
    }
    if established * 10 > beyond {
        return Judged::No(format!("{established} connections were established"));
    }
    if let Some(sign) = lost::signs(signals).into_iter().next() {
        return Judged::No(sign.says);
    }
    if lost::is_none_resent(signals) {
        let why = "half-open requests were a second old or older, and none of their SYN-ACKs was sent again";
        return Judged::No(why.into());
    }
    yes(signals, beyond, established)
}

pub(super) fn burst(signals: &Signals) -> Judged {
    let (beyond, established) = match pressure(signals) {
        Ok(pressure) => pressure,
        Err(no) => return no,
    };
    if established < beyond {
        return Judged::No(format!(
            "only {established} connections were established, and {beyond} SYNs found no room"
        ));
    }
    yes(signals, beyond, established)
}

pub(super) fn cookies_off(signals: &Signals) -> Judged {
    let dropped =
        signals.of_kind(Kind::RequestDrop) + signals.of(Kind::ListenDrop, "max-syn-backlog");
    if dropped == 0 {
        return Judged::No("no SYN was dropped because the SYN queue was full".into());
    }
    if signals.anybody_overflowed() {
        return Judged::No(BEHIND.into());
    }
    match signals.sysctls.syncookies {
        None => Judged::Abstains,
        Some(0) => Judged::Yes(
            Confidence::Certain,
            vec![
                evidence(
                    format!("{dropped} SYNs were dropped: the SYN queue had no room for them"),
                    OF_KERNEL,
                ),
                evidence("net.ipv4.tcp_syncookies is 0".into(), OF_SYSCTL),
            ],
        ),
        Some(on) => Judged::No(format!("net.ipv4.tcp_syncookies is {on}")),
    }
}
