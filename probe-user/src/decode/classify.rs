//! What an event is, from its evidence: what the kernel side measured comes in, kind and stage go out.

use probe_common::{counter, flag, hook};
use thiserror::Error;

use crate::model::{
    evidence::Evidence,
    kind::{Kind, Stage},
};

/// A record that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// It has another length than a record.
    #[error("a record of {0} bytes")]
    Length(usize),
    /// No hook has this number.
    #[error("hook {0} is not known")]
    Hook(u8),
    /// Its evidence is that of no event.
    #[error("no counter moved")]
    Nothing,
}

/// Kind and stage from what the kernel side measured; the same for a record and for a count.
pub fn classify(evidence: &Evidence) -> Result<(Kind, Option<Stage>), DecodeError> {
    let stage = match evidence.hook {
        hook::CONN_REQUEST => Stage::Syn,
        hook::CHECK_REQ => Stage::Ack,
        hook::COOKIE_SOCK => Stage::CookieAck,
        hook::REQ_ERR => Stage::Icmp,
        // One hook for all stages: the packet and the cookie counter tell.
        hook::INGRESS if evidence.has(flag::SYN) => Stage::Syn,
        hook::INGRESS if evidence.moved(counter::SYNCOOKIES_RECV) => Stage::CookieAck,
        hook::INGRESS => Stage::Ack,
        _ => return classify_notice(evidence),
    };
    let kind = decided(evidence)?;
    // The SYN that resets a request belongs to its stage.
    let stage = match kind {
        Kind::ResetReceived => Stage::Ack,
        _ => stage,
    };
    Ok((kind, (!evidence.has(flag::LATE)).then_some(stage)))
}

/// What the kernel's counters say.
fn decided(evidence: &Evidence) -> Result<Kind, DecodeError> {
    let kinds = [
        (counter::LISTEN_OVERFLOWS, Kind::Overflow),
        (counter::REQQ_FULL_DROP, Kind::RequestDrop),
        (counter::LISTEN_DROPS, Kind::ListenDrop),
        (counter::REQQ_FULL_DO_COOKIES, Kind::CookieSent),
        (counter::FASTOPEN_LISTEN_OVERFLOW, Kind::FastOpenFull),
        (counter::DEFER_ACCEPT_DROP, Kind::DeferredAccept),
        (counter::EMBRYONIC_RSTS, Kind::ResetReceived),
    ];
    let found = kinds.into_iter().find(|(slot, _)| evidence.moved(*slot));
    found.map(|(_, kind)| kind).ok_or(DecodeError::Nothing)
}

/// What no counter decides.
fn classify_notice(evidence: &Evidence) -> Result<(Kind, Option<Stage>), DecodeError> {
    let by_packet = if evidence.has(flag::SYN) {
        Stage::Syn
    } else {
        Stage::Ack
    };
    Ok(match evidence.hook {
        hook::RETRANSMIT_SKB => (Kind::Retransmit, None),
        hook::RETRANSMIT_SYNACK => (Kind::SynackRetransmit, None),
        hook::SEND_RESET
            if evidence.sock_state == 0 && evidence.has(flag::SYN | flag::LISTENER_GONE) =>
        {
            (Kind::Refused, Some(by_packet))
        }
        hook::SEND_RESET => (Kind::ResetSent, None),
        hook::RECEIVE_RESET => (Kind::ResetReceived, None),
        hook::LISTENER_CLOSED => (Kind::ListenerClosed, None),
        hook::PACKET_DROP => (Kind::PacketDrop, Some(by_packet)),
        hook::PRESSURE if evidence.has(flag::EASED) => (Kind::Eased, None),
        hook::PRESSURE => (Kind::NearLimit, None),
        hook::CONNECTED => (Kind::Connected, None),
        hook::REQUEST_TIMER => (Kind::RequestExpired, Some(Stage::SynAck)),
        other => return Err(DecodeError::Hook(other)),
    })
}
