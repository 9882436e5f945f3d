//! Turns ring records into events: bytes come in, [`Event`]s with the field's
//! own words go out. Does no I/O and reads no clock; a record that does not
//! decode is an error to count, never a guess.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use probe_common::{CountKey, Record, counter, family, flag, hook, state, tcp_flag};
use thiserror::Error;
use zerocopy::FromBytes;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Refused since the accept queue was full (ListenOverflows).
    Overflow,
    /// Refused since the SYN queue was full (TCPReqQFullDrop).
    RequestDrop,
    /// Any other refusal at a listener (ListenDrops).
    ListenDrop,
    /// Answered by a reset, since nobody listens there (OutRsts).
    Refused,
    /// Dropped before a listener decided, with a reason of the kernel's.
    PacketDrop,
    /// A listener was closed; what was in its accept queue is reset.
    ListenerClosed,
    /// A request ended since its SYN-ACK was not acknowledged.
    RequestExpired,
    /// SYN queue full, answered by a SYN cookie (TCPReqQFullDoCookies): no refusal.
    CookieSent,
    /// Too many fast-open requests (TCPFastOpenListenOverflow): an ordinary handshake goes on.
    FastOpenFull,
    /// A bare ACK where data is waited for (TCPDeferAcceptDrop): no refusal.
    DeferredAccept,
    SynackRetransmit,
    Retransmit,
    ResetSent,
    ResetReceived,
    /// A queue passed the share of its room that is warned of.
    NearLimit,
    /// It is below half of that share again.
    Eased,
    /// A connection entered the accept queue whose attempt had been refused before.
    Connected,
}

impl Kind {
    pub const ALL: [Self; 17] = [
        Self::NearLimit,
        Self::Eased,
        Self::Connected,
        Self::Overflow,
        Self::RequestDrop,
        Self::ListenDrop,
        Self::Refused,
        Self::PacketDrop,
        Self::ListenerClosed,
        Self::RequestExpired,
        Self::CookieSent,
        Self::FastOpenFull,
        Self::DeferredAccept,
        Self::SynackRetransmit,
        Self::Retransmit,
        Self::ResetSent,
        Self::ResetReceived,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::RequestDrop => "request-drop",
            Self::ListenDrop => "listen-drop",
            Self::Refused => "refused",
            Self::PacketDrop => "packet-drop",
            Self::ListenerClosed => "listener-closed",
            Self::RequestExpired => "request-expired",
            Self::CookieSent => "cookie-sent",
            Self::FastOpenFull => "fast-open-full",
            Self::DeferredAccept => "deferred-accept",
            Self::SynackRetransmit => "synack-retransmit",
            Self::Retransmit => "retransmit",
            Self::ResetSent => "reset-sent",
            Self::ResetReceived => "reset-received",
            Self::NearLimit => "near-limit",
            Self::Eased => "eased",
            Self::Connected => "connected",
        }
    }

    /// Whether a listener refused a connection attempt.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Overflow | Self::RequestDrop | Self::ListenDrop)
    }

    /// Whether the kernel's own counters say it: all are counted by listener, exactly.
    pub const fn is_decision(self) -> bool {
        self.is_refusal()
            || matches!(
                self,
                Self::CookieSent | Self::FastOpenFull | Self::DeferredAccept
            )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where in the handshake it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Syn,
    /// The SYN-ACK that nobody acknowledged.
    SynAck,
    /// A segment for a half-open request, usually the final ACK.
    Ack,
    /// The ACK that brings back a SYN cookie.
    CookieAck,
    /// An ICMP error for a half-open request.
    Icmp,
}

impl Stage {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::SynAck => "syn-ack",
            Self::Ack => "ack",
            Self::CookieAck => "cookie-ack",
            Self::Icmp => "icmp",
        }
    }
}

/// What a record and a count have in common: all that decides what an event is, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Evidence {
    pub hook: u8,
    /// [`flag`]
    pub flags: u16,
    /// 0 without a socket.
    pub sock_state: u8,
    /// `enum sk_rst_reason` or `enum skb_drop_reason` of this kernel, 0 where it gives none.
    pub reason: u32,
    /// Bit n: counter slot n moved.
    pub moved: u16,
}

impl Evidence {
    pub const fn moved(&self, slot: usize) -> bool {
        self.moved >> slot & 1 == 1
    }

    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

impl From<&Record> for Evidence {
    fn from(record: &Record) -> Self {
        let bit = |(slot, moved): (usize, &u8)| u16::from(*moved != 0) << slot;
        Self {
            hook: record.hook,
            flags: record.flags,
            sock_state: record.sock_state,
            reason: record.reason,
            moved: record.moved.iter().enumerate().map(bit).sum(),
        }
    }
}

impl From<&CountKey> for Evidence {
    fn from(key: &CountKey) -> Self {
        Self {
            hook: key.hook,
            flags: key.flags,
            sock_state: key.sock_state,
            reason: u32::from(key.reason),
            moved: key.moved,
        }
    }
}

/// The listener at the moment of the event, as the kernel side read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerAt {
    /// 0 where nobody has asked for one yet.
    pub cookie: u64,
    pub addr: SocketAddr,
    pub accept_queue_len: u32,
    pub accept_queue_limit: u32,
    pub syn_queue_len: u32,
    /// `tcp_syncookies` and `tcp_max_syn_backlog` of its namespace.
    pub syncookies: u8,
    pub max_syn_backlog: u32,
}

/// One event, still without what user space knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub mono_ns: u64,
    pub kind: Kind,
    pub stage: Option<Stage>,
    /// Who attempted the connection; `None` where this is not known.
    pub client: Option<SocketAddr>,
    /// This host's end.
    pub local: Option<SocketAddr>,
    /// The other end.
    pub remote: Option<SocketAddr>,
    pub netns: u32,
    pub cpu: u32,
    pub listener: Option<ListenerAt>,
    /// Kernel address and cookie of the socket, the listener's or the connection's.
    pub sock: u64,
    pub cookie: u64,
    /// Timeouts or SYN-ACKs sent again so far.
    pub retransmits: u8,
    pub evidence: Evidence,
    pub moved: [u8; counter::SLOTS],
    /// Noticed at the next packet only: client and listener are not known.
    pub late: bool,
    pub seq: u32,
    pub ack_seq: u32,
    /// Of a listener that was closed: the process that closed it.
    pub closed_by: Option<Task>,
    /// Of a queue that is below its limit again.
    pub episode: Option<Episode>,
    /// Of a connection that was refused before.
    pub refused: Option<Refused>,
}

/// What came before a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub first_ns: u64,
    /// How often.
    pub times: u32,
}

/// The time that a queue was near its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Episode {
    /// The longest that the queue was.
    pub peak: u32,
    pub lasted_ns: u64,
}

/// A process as the kernel side saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub pid: u32,
    pub comm: String,
}

/// A record that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("a record of {0} bytes")]
    Length(usize),
    #[error("hook {0} is not known")]
    Hook(u8),
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

pub fn address(family: u16, bytes: [u8; 16], port: u16) -> Option<SocketAddr> {
    let ip = match family {
        family::INET => {
            let [a, b, c, d, ..] = bytes;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        family::INET6 => IpAddr::V6(Ipv6Addr::from(bytes)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// An IPv4-mapped address is shown as the IPv4 address that it is.
fn end(family: u16, bytes: [u8; 16], port: u16) -> Option<SocketAddr> {
    address(family, bytes, port).map(|a| SocketAddr::new(a.ip().to_canonical(), a.port()))
}

/// Decodes one record.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let record = Record::ref_from_bytes(bytes).map_err(|_| DecodeError::Length(bytes.len()))?;
    let evidence = Evidence::from(record);
    let (kind, stage) = classify(&evidence)?;
    let closed_by = (kind == Kind::ListenerClosed).then(|| closer(record));
    let episode = (kind == Kind::Eased).then(|| Episode {
        peak: record.seq,
        lasted_ns: u64::from_le_bytes(std::array::from_fn(|at| record.remote_addr[at])),
    });
    let refused = (kind == Kind::Connected).then(|| Refused {
        first_ns: u64::from(record.max_syn_backlog) << 32 | u64::from(record.ack_seq),
        times: record.sk_drops,
    });
    let remote = end(record.family, record.remote_addr, record.remote_port);
    let local = end(record.family, record.local_addr, record.local_port);
    let listener = (record.sock_state == state::LISTEN)
        .then(|| address(record.sock_family, record.bound_addr, record.bound_port))
        .flatten()
        .map(|addr| ListenerAt {
            cookie: record.cookie,
            addr,
            accept_queue_len: record.accept_queue_len,
            accept_queue_limit: record.accept_queue_limit,
            syn_queue_len: record.syn_queue_len,
            syncookies: record.syncookies,
            max_syn_backlog: if refused.is_none() {
                record.max_syn_backlog
            } else {
                0
            },
        });
    Ok(Event {
        mono_ns: record.mono_ns,
        kind,
        stage,
        client: client(record, remote, local),
        local,
        remote,
        netns: record.netns,
        cpu: record.cpu,
        listener,
        sock: record.sock,
        cookie: record.cookie,
        retransmits: record.retransmits,
        evidence,
        moved: record.moved,
        late: evidence.has(flag::LATE),
        seq: record.seq,
        ack_seq: record.ack_seq,
        closed_by,
        episode,
        refused,
    })
}

/// The task that closed a listener.
fn closer(record: &Record) -> Task {
    let comm = record.remote_addr.split(|byte| *byte == 0).next();
    Task {
        pid: record.seq,
        comm: String::from_utf8_lossy(comm.unwrap_or_default()).into_owned(),
    }
}

/// Who attempted the connection, where the record can tell.
fn client(
    record: &Record,
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
) -> Option<SocketAddr> {
    let syn = record.tcp_flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN;
    match record.sock_state {
        state::SYN_SENT => local,
        state::LISTEN | state::NEW_SYN_RECV | state::SYN_RECV => remote,
        _ if record.flags & flag::UNACCEPTED != 0 || syn => remote,
        _ if record.flags & flag::LISTENER_GONE != 0 => remote,
        _ if record.hook < hook::RETRANSMIT_SKB => remote,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::{FromZeros, IntoBytes};

    use super::*;

    fn record() -> Record {
        let mut record = Record::new_zeroed();
        record.hook = hook::CONN_REQUEST;
        record.flags = flag::SYN | flag::PACKET;
        record.tcp_flags = tcp_flag::SYN;
        record.sock_state = state::LISTEN;
        record.family = family::INET;
        record.sock_family = family::INET6;
        record.remote_addr[..4].copy_from_slice(&[10, 0, 0, 7]);
        record.remote_port = 51234;
        record.local_addr[..4].copy_from_slice(&[10, 0, 0, 1]);
        record.local_port = 8080;
        record.bound_port = 8080;
        record.accept_queue_len = 129;
        record.accept_queue_limit = 128;
        record.moved[counter::LISTEN_OVERFLOWS] = 1;
        record.moved[counter::LISTEN_DROPS] = 1;
        record
    }

    fn check(change: impl FnOnce(&mut Record), kind: Kind, stage: Option<Stage>) -> Event {
        let mut record = record();
        change(&mut record);
        let event = decode(record.as_bytes()).expect("decodes");
        assert_eq!((event.kind, event.stage), (kind, stage));
        event
    }

    #[test]
    fn an_overflow_names_client_listener_and_queue() {
        let event = check(|_| {}, Kind::Overflow, Some(Stage::Syn));
        assert_eq!(event.client, "10.0.0.7:51234".parse().ok());
        let listener = event.listener.expect("a listener");
        assert_eq!(listener.addr, "[::]:8080".parse().expect("an address"));
        assert_eq!(
            (listener.accept_queue_len, listener.accept_queue_limit),
            (129, 128)
        );
    }

    #[test]
    fn the_counters_decide_the_kind() {
        let only = |slots: &'static [usize]| {
            move |record: &mut Record| {
                record.moved = Default::default();
                for slot in slots {
                    record.moved[*slot] = 1;
                }
            }
        };
        use counter::*;
        check(
            only(&[LISTEN_DROPS, REQQ_FULL_DROP]),
            Kind::RequestDrop,
            Some(Stage::Syn),
        );
        check(only(&[LISTEN_DROPS]), Kind::ListenDrop, Some(Stage::Syn));
        check(
            only(&[REQQ_FULL_DO_COOKIES]),
            Kind::CookieSent,
            Some(Stage::Syn),
        );
        check(
            only(&[REQQ_FULL_DO_COOKIES, LISTEN_DROPS, LISTEN_OVERFLOWS]),
            Kind::Overflow,
            Some(Stage::Syn),
        );
    }

    #[test]
    fn one_hook_for_all_stages_tells_them_by_packet_and_cookie_counter() {
        let ack = |record: &mut Record| {
            record.hook = hook::INGRESS;
            record.flags = flag::PACKET;
            record.tcp_flags = tcp_flag::ACK;
        };
        check(ack, Kind::Overflow, Some(Stage::Ack));
        check(
            |record| {
                ack(record);
                record.moved[counter::SYNCOOKIES_RECV] = 1;
            },
            Kind::Overflow,
            Some(Stage::CookieAck),
        );
    }

    #[test]
    fn a_connection_tells_when_it_was_first_refused() {
        let event = check(
            |record| {
                record.hook = hook::CONNECTED;
                record.moved = Default::default();
                record.sk_drops = 3;
                record.max_syn_backlog = 2;
                record.ack_seq = 7;
            },
            Kind::Connected,
            None,
        );
        let refused = event.refused.expect("refused before");
        assert_eq!((refused.first_ns, refused.times), ((2 << 32) + 7, 3));
        assert_eq!(event.client, event.remote);
        assert_eq!(event.listener.map(|l| l.max_syn_backlog), Some(0));
    }

    #[test]
    fn a_connecting_socket_is_the_client_itself() {
        let event = check(
            |record| {
                record.hook = hook::RETRANSMIT_SKB;
                record.sock_state = state::SYN_SENT;
                record.tcp_flags = 0;
            },
            Kind::Retransmit,
            None,
        );
        assert_eq!(event.client, event.local);
        assert!(event.listener.is_none());
    }

    #[test]
    fn an_established_socket_does_not_tell_who_began() {
        let event = check(
            |record| {
                record.hook = hook::RECEIVE_RESET;
                record.sock_state = state::ESTABLISHED;
                record.tcp_flags = 0;
            },
            Kind::ResetReceived,
            None,
        );
        assert_eq!(event.client, None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn any_record_of_a_known_hook_decodes(bytes in proptest::array::uniform32(any::<u8>())) {
            let mut record = record();
            record.remote_addr.copy_from_slice(&bytes[..16]);
            record.bound_addr.copy_from_slice(&bytes[16..]);
            record.family = u16::from(bytes[0]);
            record.sock_state = bytes[1];
            prop_assert!(decode(record.as_bytes()).is_ok());
        }
    }
}

#[cfg(test)]
#[path = "decode_record_tests.rs"]
mod record_tests;
