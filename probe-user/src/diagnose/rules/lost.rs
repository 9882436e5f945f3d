//! Handshakes that nobody completes: what the half-open requests, the SYN-ACKs that are sent again and SYNs that come again
//! say of why.

use super::{
    Judged,
    said::{OF_HOOKS, OF_KERNEL, OF_LINES, OF_QUEUE, evidence},
};
use crate::model::{
    kind::Kind,
    signals::{Member, Probe, Signals},
    socket::HalfOpen,
    verdict::{Confidence, Evidence},
};

/// SYN-ACKs that are sent again are told of from so many on, and from one in so many connections on.
const FEW: u64 = 3;
const ONE_IN: u64 = 20;

/// Looks at half-open requests, half a second apart, after which some would have been established.
const LOOKS: u32 = 3;

/// Of the half-open requests of all members, as one look found them.
fn half_open(signals: &Signals) -> Option<HalfOpen> {
    let looks = signals.members.iter().filter_map(|one| one.half_open);
    looks.reduce(|all, one| HalfOpen {
        in_all: all.in_all + one.in_all,
        aged: all.aged + one.aged,
        resent: all.resent + one.resent,
        clients: all.clients + one.clients,
    })
}

/// Whether TCP_DEFER_ACCEPT may be what keeps requests: some listener of the namespace has it, or that is not known.
fn may_be_deferred(signals: &Signals) -> bool {
    signals.put_off.is_none_or(|(in_all, _)| in_all > 0)
}

fn established(signals: &Signals) -> u64 {
    signals
        .members
        .iter()
        .map(|member| member.established)
        .sum()
}

/// Requests that were a second old or older, none of whose SYN-ACKs was sent again: those of a flood are, since nobody
/// acknowledges them.
pub(super) fn is_none_resent(signals: &Signals) -> bool {
    half_open(signals).is_some_and(|all| all.aged >= 2 && all.resent == 0) && signals.resent == 0
}

/// Clients that have acknowledged and say nothing hold half of the SYN queue or more.
pub(super) fn held(signals: &Signals) -> Result<(HalfOpen, u64), Judged> {
    let Some((put_off, meanwhile)) = signals.put_off else {
        return Err(Judged::Abstains);
    };
    if put_off == 0 {
        return Err(Judged::No(
            "no ACK was ever put off there: TCP_DEFER_ACCEPT is not in use".into(),
        ));
    }
    // It may be another listener that has it, and this one's answers may be lost.
    if meanwhile == 0 && established(signals) == 0 {
        return Err(Judged::Abstains);
    }
    let Some(requests) = half_open(signals) else {
        return Err(Judged::Abstains);
    };
    // Whose SYN-ACK is sent again has not acknowledged it.
    let silent = requests.aged - requests.resent.min(requests.aged);
    if requests.in_all == 0 || silent * 3 < requests.in_all {
        return Err(Judged::No(format!(
            "{silent} of {} half-open requests had acknowledged and were silent for a second",
            requests.in_all
        )));
    }
    Ok((requests, put_off))
}

pub(super) fn defer_accept(signals: &Signals, beyond: u64) -> Judged {
    let (requests, put_off) = match held(signals) {
        Ok(held) => held,
        Err(no) => return no,
    };
    Judged::Yes(
        Confidence::Likely,
        vec![
            evidence(
                format!("the SYN queue had no room for {beyond} SYNs"),
                OF_KERNEL,
            ),
            evidence(
                format!(
                    "TCP_DEFER_ACCEPT waits for data: {put_off} ACKs were put off in this namespace so far"
                ),
                "TCPDeferAcceptDrop",
            ),
            evidence(
                format!(
                    "{} of {} half-open requests, of {} clients, were a second old or older, and {} of their SYN-ACKs were sent again: the others are connected and silent",
                    requests.aged, requests.in_all, requests.clients, requests.resent
                ),
                OF_QUEUE,
            ),
        ],
    )
}

/// Signs that answers do not come through, which no flood gives; none where there are none, and clients that are silent
/// on purpose (TCP_DEFER_ACCEPT) give none.
pub(super) fn signs(signals: &Signals) -> Vec<Evidence> {
    let mut found = Vec::new();
    let tries = signals.tries;
    // A handful may be anybody's; of a flood hardly any SYN comes again.
    if tries.repeated >= 3 && tries.repeated * 4 >= tries.attempts {
        found.push(evidence(
            format!(
                "{} of {} attempts sent the same SYN again although the listener had answered: they heard nothing, and a flood does not do that",
                tries.repeated, tries.attempts
            ),
            OF_LINES,
        ));
    }
    if let Some(requests) = half_open(signals)
        && is_none_resent(signals)
        && !may_be_deferred(signals)
    {
        found.push(evidence(
            format!(
                "{} of {} half-open requests were a second old or older, and no SYN-ACK was sent again: this host drops them on its way out",
                requests.aged, requests.in_all
            ),
            OF_QUEUE,
        ));
    }
    let is_dropped = signals.of_kind(Kind::PacketDrop) > 0;
    if signals.probe == Some(Probe::Unanswered) && !signals.anybody_overflowed() && !is_dropped {
        found.push(evidence(
            "whydrop's own attempt was not refused, and had no answer".into(),
            "--probe",
        ));
    }
    found
}

pub(super) fn path_loss(signals: &Signals) -> Judged {
    if signals.anybody_overflowed() {
        return Judged::No("an accept queue was full: that keeps requests half-open".into());
    }
    let mut found = signs(signals);
    let has_signs = !found.is_empty();
    let expired = signals.of(Kind::RequestExpired, "no-ack");
    if expired > 0 {
        found.push(evidence(
            format!("{expired} requests expired: their SYN-ACKs were not acknowledged"),
            OF_KERNEL,
        ));
    }
    let looks = signals.members.iter().map(|member| member.half_open_looks);
    let looks = looks.max().unwrap_or(0);
    if looks >= LOOKS && established(signals) == 0 && !may_be_deferred(signals) {
        found.push(evidence(
            format!("half-open requests in {looks} looks, and none of them was established"),
            OF_QUEUE,
        ));
    }
    let requests = half_open(signals).unwrap_or_default();
    let resent = signals.resent.max(requests.resent.into());
    let connected = established(signals);
    let is_often = resent >= FEW && resent * ONE_IN >= connected;
    if is_often {
        found.push(evidence(
            format!("{resent} SYN-ACKs were sent again, {connected} connections were established"),
            OF_HOOKS,
        ));
    }
    if found.is_empty() {
        return nothing(signals, resent, connected);
    }
    if !has_signs && signals.refusals > 0 {
        return Judged::No("the listener itself refused some".into());
    }
    if signals.refusals == 0 {
        found.push(evidence("the listener refused nothing".into(), OF_KERNEL));
    }
    Judged::Yes(Confidence::Likely, found)
}

/// That nothing was found says something only where it would have been seen.
fn nothing(signals: &Signals, resent: u64, connected: u64) -> Judged {
    let is_looked = |member: &Member| member.half_open.is_some();
    let is_looked = !signals.members.is_empty() && signals.members.iter().all(is_looked);
    if signals.is_blind_to(Kind::RequestExpired.name()) && !is_looked {
        return Judged::Abstains;
    }
    Judged::No(format!(
        "{resent} SYN-ACKs were sent again, {connected} connections were established"
    ))
}
