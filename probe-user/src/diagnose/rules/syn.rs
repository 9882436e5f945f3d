//! The SYN queue.

use super::super::{Confidence, Signals};
use super::{Judged, said::*};
use crate::decode::Kind;

/// SYNs beyond the SYN queue that make a flood or a burst of them.
const MANY: u64 = 50;

/// Why a full SYN queue says nothing.
const BEHIND: &str = "requests stay in the SYN queue while the accept queue is full";

/// SYNs for which the SYN queue had no room.
fn beyond_syn_queue(signals: &Signals) -> u64 {
    signals.of_kind(Kind::RequestDrop)
        + signals.of(Kind::CookieSent, "syn-queue-full")
        + signals.of(Kind::ListenDrop, "max-syn-backlog")
}

fn established(signals: &Signals) -> u64 {
    signals
        .members
        .iter()
        .map(|member| member.established)
        .sum()
}

pub(super) fn flood(signals: &Signals) -> Judged {
    let (beyond, established) = (beyond_syn_queue(signals), established(signals));
    if beyond < MANY {
        return Judged::No(format!("the SYN queue had no room for {beyond} SYNs"));
    }
    if signals.overflows() > 0 {
        return Judged::No(BEHIND.into());
    }
    if established * 10 > beyond {
        return Judged::No(format!("{established} were established"));
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            evidence(
                format!("the SYN queue had no room for {beyond} SYNs"),
                OF_KERNEL,
            ),
            evidence(
                format!("{established} connections were established meanwhile"),
                OF_HOOKS,
            ),
        ],
    )
}

pub(super) fn burst(signals: &Signals) -> Judged {
    let (beyond, established) = (beyond_syn_queue(signals), established(signals));
    if beyond == 0 {
        return Judged::No("the SYN queue had room for every SYN".into());
    }
    if signals.overflows() > 0 {
        return Judged::No(BEHIND.into());
    }
    if established < beyond {
        return Judged::No(format!(
            "{established} were established, of {beyond} SYNs and more"
        ));
    }
    Judged::Yes(
        Confidence::Likely,
        vec![
            evidence(
                format!("the SYN queue had no room for {beyond} SYNs"),
                OF_KERNEL,
            ),
            evidence(
                format!("{established} connections were established meanwhile"),
                OF_HOOKS,
            ),
        ],
    )
}

pub(super) fn cookies_off(signals: &Signals) -> Judged {
    let dropped =
        signals.of_kind(Kind::RequestDrop) + signals.of(Kind::ListenDrop, "max-syn-backlog");
    if dropped == 0 {
        return Judged::No("no SYN was dropped for want of room in the SYN queue".into());
    }
    if signals.overflows() > 0 {
        return Judged::No(BEHIND.into());
    }
    match signals.sysctls.syncookies {
        None => Judged::Abstains,
        Some(0) => Judged::Yes(
            Confidence::Certain,
            vec![
                evidence(
                    format!("{dropped} SYNs dropped for want of room in the SYN queue"),
                    OF_KERNEL,
                ),
                evidence("net.ipv4.tcp_syncookies is 0".into(), OF_SYSCTL),
            ],
        ),
        Some(on) => Judged::No(format!("net.ipv4.tcp_syncookies is {on}")),
    }
}
