//! Turns ring records into events: bytes come in, [`Event`]s with the field's
//! own words go out. Does no I/O and reads no clock; a record that does not
//! decode is an error to count, never a guess.

mod classify;
#[cfg(test)]
mod record_tests;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use probe_common::{self as wire, Ends, Record, Told, family, flag, hook, state, tcp_flag};
use zerocopy::FromBytes;

pub use self::classify::{DecodeError, classify};
use crate::model::{
    event::{Episode, Event, ListenerAt, Refused, Segment, Task, What},
    evidence::Evidence,
    kind::Kind,
};

/// An address as the kernel side has it: `AF_INET` in the first four bytes, or `AF_INET6`; `None` for another family.
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

/// The two ends, this host's last.
fn both(ends: &Ends) -> (Option<SocketAddr>, Option<SocketAddr>) {
    (
        end(ends.family, &ends.remote_addr, ends.remote_port),
        end(ends.family, &ends.local_addr, ends.local_port),
    )
}

/// An IPv4-mapped address is shown as the IPv4 address that it is. Where this is inlined, addresses are taken apart into
/// bytes, at twice the cost.
#[inline(never)]
fn end(family: u16, bytes: &[u8; 16], port: u16) -> Option<SocketAddr> {
    let at = address(family, *bytes, port)?;
    Some(SocketAddr::new(at.ip().to_canonical(), at.port()))
}

/// Decodes one record.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let record = Record::ref_from_bytes(bytes).map_err(|_| DecodeError::Length(bytes.len()))?;
    let evidence = Evidence::from(record);
    let (kind, stage) = classify(&evidence)?;
    let told = record.told();
    let (remote, local) = match told {
        Told::Segment(wire::Segment { ends, .. })
        | Told::Connected(wire::Connected { ends, .. }) => both(ends),
        Told::Closed(_) | Told::Pressure(_) => (None, None),
    };
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
        client: client(record, told, remote, local),
        local,
        remote,
        netns: record.netns,
        cpu: record.cpu,
        listener,
        sock: record.sock,
        cookie: record.cookie,
        evidence,
        moved: record.moved,
        late: evidence.has(flag::LATE),
        what: what(kind, told),
    })
}

fn what(kind: Kind, told: Told<'_>) -> What {
    match told {
        Told::Segment(segment) => What::Segment(Segment {
            seq: segment.seq,
            ack_seq: segment.ack_seq,
            retransmits: segment.retransmits,
        }),
        Told::Closed(closed) => What::Closed(Some(closer(closed))),
        Told::Pressure(pressure) if kind == Kind::Eased => What::Eased(Episode {
            peak: pressure.peak,
            lasted_ns: pressure.lasted_ns,
        }),
        Told::Pressure(_) => What::NearLimit,
        Told::Connected(connected) => What::Connected(Refused {
            first_ns: connected.first_ns,
            isn: connected.isn,
            times: connected.refusals,
        }),
    }
}

/// The task that closed a listener.
fn closer(closed: &wire::Closed) -> Task {
    let comm = closed.comm.split(|byte| *byte == 0).next();
    let is_ending = closed.ending & wire::Closed::ENDING != 0;
    let code = is_ending.then_some(closed.ending);
    // As wait(2) has it: bit 7 is that of a core dump.
    let signal = |code: u32| (code & 0x7f) as u8;
    Task {
        pid: closed.pid,
        comm: String::from_utf8_lossy(comm.unwrap_or_default()).into_owned(),
        signal: code.map(signal).filter(|signal| *signal != 0),
        exit_status: code
            .filter(|code| signal(*code) == 0)
            .map(|code| (code >> 8) as u8),
    }
}

/// Who attempted the connection, where the record can tell.
fn client(
    record: &Record,
    told: Told<'_>,
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
) -> Option<SocketAddr> {
    let syn = matches!(
        told,
        Told::Segment(segment) if segment.tcp_flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN
    );
    match record.sock_state {
        state::SYN_SENT => local,
        state::LISTEN | state::NEW_SYN_RECV | state::SYN_RECV => remote,
        _ if record.flags & flag::UNACCEPTED != 0 || syn => remote,
        _ if record.flags & flag::LISTENER_GONE != 0 => remote,
        _ if record.hook < hook::RETRANSMIT_SKB => remote,
        _ => None,
    }
}
