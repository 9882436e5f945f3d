//! Turns ring records into events: bytes come in, [`Event`]s with the field's
//! own words go out. Does no I/O and reads no clock; a record that does not
//! decode is an error to count, never a guess.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use probe_common::{Record, counter, family, flag, hook, state, tcp_flag};
use thiserror::Error;
use zerocopy::FromBytes;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Refused since the accept queue was full (ListenOverflows).
    Overflow,
    /// Refused since the SYN queue was full (TCPReqQFullDrop).
    RequestDrop,
    /// Any other refusal at a listener (ListenDrops).
    ListenDrop,
    /// SYN queue full, answered by a SYN cookie (TCPReqQFullDoCookies): no refusal.
    CookieSent,
    SynackRetransmit,
    Retransmit,
    ResetSent,
    ResetReceived,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Overflow,
        Self::RequestDrop,
        Self::ListenDrop,
        Self::CookieSent,
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
            Self::CookieSent => "cookie-sent",
            Self::SynackRetransmit => "synack-retransmit",
            Self::Retransmit => "retransmit",
            Self::ResetSent => "reset-sent",
            Self::ResetReceived => "reset-received",
        }
    }

    /// Whether a connection attempt was refused at a listener.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Overflow | Self::RequestDrop | Self::ListenDrop)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where in the handshake it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Syn,
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
            Self::Ack => "ack",
            Self::CookieAck => "cookie-ack",
            Self::Icmp => "icmp",
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
    pub sock_state: u8,
    /// Timeouts or SYN-ACKs sent again so far.
    pub retransmits: u8,
    /// `enum sk_rst_reason` of this kernel, 0 where it gives none.
    pub reset_reason: u32,
    pub moved: [u8; counter::SLOTS],
    /// Noticed at the next packet only: client and listener are not known.
    pub late: bool,
    pub raw_flags: u8,
    pub hook: u8,
    pub seq: u32,
    pub ack_seq: u32,
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
pub fn classify(
    which: u8,
    flags: u8,
    moved: impl Fn(usize) -> bool,
) -> Result<(Kind, Option<Stage>), DecodeError> {
    let stage = match which {
        hook::CONN_REQUEST => Stage::Syn,
        hook::CHECK_REQ => Stage::Ack,
        hook::COOKIE_SOCK => Stage::CookieAck,
        hook::REQ_ERR => Stage::Icmp,
        // One hook for all stages: the packet and the cookie counter tell.
        hook::INGRESS if flags & flag::SYN != 0 => Stage::Syn,
        hook::INGRESS if moved(counter::SYNCOOKIES_RECV) => Stage::CookieAck,
        hook::INGRESS => Stage::Ack,
        hook::RETRANSMIT_SKB => return Ok((Kind::Retransmit, None)),
        hook::RETRANSMIT_SYNACK => return Ok((Kind::SynackRetransmit, None)),
        hook::SEND_RESET => return Ok((Kind::ResetSent, None)),
        hook::RECEIVE_RESET => return Ok((Kind::ResetReceived, None)),
        other => return Err(DecodeError::Hook(other)),
    };
    let kind = if moved(counter::LISTEN_OVERFLOWS) {
        Kind::Overflow
    } else if moved(counter::REQQ_FULL_DROP) {
        Kind::RequestDrop
    } else if moved(counter::LISTEN_DROPS) {
        Kind::ListenDrop
    } else if moved(counter::REQQ_FULL_DO_COOKIES) {
        Kind::CookieSent
    } else {
        return Err(DecodeError::Nothing);
    };
    let stage = (flags & flag::LATE == 0).then_some(stage);
    Ok((kind, stage))
}

fn address(family: u16, bytes: [u8; 16], port: u16) -> Option<SocketAddr> {
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
    let (kind, stage) = classify(record.hook, record.flags, |slot| record.moved[slot] != 0)?;
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
            max_syn_backlog: record.max_syn_backlog,
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
        sock_state: record.sock_state,
        retransmits: record.retransmits,
        reset_reason: record.reason,
        moved: record.moved,
        late: record.flags & flag::LATE != 0,
        raw_flags: record.flags,
        hook: record.hook,
        seq: record.seq,
        ack_seq: record.ack_seq,
    })
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
