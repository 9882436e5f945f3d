//! From the payload of a `sock_diag` answer to a snapshot.
//!
//! In: the bytes of one `inet_diag_msg` and the time they were written. Out: a [`ListenerSnapshot`] or a [`ConnectionSnapshot`].
//! It does no I/O; a fact that the kernel did not send is `None`, and a `tcp_info` may be of any length.

use std::net::SocketAddr;
use std::time::Duration;

use netlink_packet_core::Parseable;
use netlink_packet_sock_diag::constants::{
    INET_DIAG_INFO, INET_DIAG_SKMEMINFO, INET_DIAG_SKV6ONLY, TCP_LISTEN,
};
use netlink_packet_sock_diag::inet::{InetResponseHeader, Timer};

use super::wire::{WireError, attributes, cookie_of, word};
use crate::model::socket::{
    AcceptedSnapshot, ConnectionSnapshot, EndSnapshot, ListenerSnapshot, RequestSnapshot,
};

/// `sizeof(struct inet_diag_msg)`.
const HEADER_LEN: usize = 72;
/// Of include/uapi/linux/inet_diag.h; the crate ends at 18.
const INET_DIAG_CGROUP_ID: u16 = 21;
const INET_DIAG_SOCKOPT: u16 = 22;
/// Of the first byte of `struct inet_diag_sockopt`: bits, the lowest first.
const SOCKOPT_TRANSPARENT: u8 = 1 << 5;
/// `sk_drops` is the last of the nine words of `SK_MEMINFO_*`.
const SK_MEMINFO_DROPS: usize = 8 * 4;

/// `None` for a connection that nobody has accepted.
pub(super) fn accepted(payload: &[u8]) -> Result<Option<AcceptedSnapshot>, WireError> {
    let (header, extra) = split(payload)?;
    let info = |offset| word(extra.tcp_info, offset);
    // A connection that was not accepted yet belongs to no file.
    if header.inode == 0 {
        return Ok(None);
    }
    let id = &header.socket_id;
    // Set when the connection was made, and by each data segment that is sent (net/ipv4/tcp_minisocks.c:
    // tcp_create_openreq_child, net/ipv4/tcp_output.c:tcp_event_data_sent).
    let quiet = info(TCPI_LAST_DATA_SENT).map(|ms| Duration::from_millis(ms.into()));
    Ok(Some(AcceptedSnapshot {
        local: SocketAddr::new(id.source_address, id.source_port),
        remote: SocketAddr::new(id.destination_address, id.destination_port),
        inode: header.inode,
        age: quiet.filter(|_| info(TCPI_DATA_SEGS_OUT) == Some(0)),
        quiet,
    }))
}

/// `None` for a socket that is no half-open request.
pub(super) fn request(payload: &[u8]) -> Result<Option<RequestSnapshot>, WireError> {
    /// `TCP_SYN_RECV` and, where the kernel shows it as it is, `TCP_NEW_SYN_RECV`.
    const HALF_OPEN: [u8; 2] = [3, 12];
    let (header, _) = split(payload)?;
    // One of a fast-open child is a connection already.
    if !HALF_OPEN.contains(&header.state) || header.inode != 0 {
        return Ok(None);
    }
    let (left, resent) = match header.timer {
        Some(Timer::Retransmit(left, times)) => (left, times),
        _ => (Duration::ZERO, 0),
    };
    let id = &header.socket_id;
    Ok(Some(RequestSnapshot {
        local: SocketAddr::new(id.source_address, id.source_port),
        client: SocketAddr::new(id.destination_address, id.destination_port),
        left,
        resent,
    }))
}

/// One end of a connection, in whatever state it is.
pub(super) fn end(payload: &[u8]) -> Result<EndSnapshot, WireError> {
    let (header, _) = split(payload)?;
    let id = &header.socket_id;
    let resent = match header.timer {
        Some(Timer::Retransmit(_, times)) => times,
        _ => 0,
    };
    Ok(EndSnapshot {
        local: SocketAddr::new(id.source_address.to_canonical(), id.source_port),
        remote: SocketAddr::new(id.destination_address.to_canonical(), id.destination_port),
        state: state_name(header.state),
        inode: Some(header.inode).filter(|inode| *inode != 0),
        resent,
    })
}

/// `None` for a socket that is no listener with IP_TRANSPARENT, or where the kernel does not say (before 5.10).
pub(super) fn transparent(
    payload: &[u8],
    taken_mono_ns: u64,
) -> Result<Option<ListenerSnapshot>, WireError> {
    let (_, extra) = split(payload)?;
    if !extra.is_transparent {
        return Ok(None);
    }
    listener(payload, taken_mono_ns)
}

/// `None` for a socket that is no listener.
pub(super) fn listener(
    payload: &[u8],
    taken_mono_ns: u64,
) -> Result<Option<ListenerSnapshot>, WireError> {
    let (header, extra) = split(payload)?;
    if header.state != TCP_LISTEN {
        return Ok(None);
    }
    let id = &header.socket_id;
    Ok(Some(ListenerSnapshot {
        cookie: cookie_of(id.cookie),
        addr: SocketAddr::new(id.source_address, id.source_port),
        v6only: extra.v6only,
        ifindex: id.interface_id,
        inode: header.inode,
        uid: header.uid,
        accept_queue_len: header.recv_queue,
        accept_queue_limit: header.send_queue,
        drops: extra.drops,
        cgroup_id: extra.cgroup_id,
        taken_mono_ns,
    }))
}

pub(super) fn connection(
    payload: &[u8],
    taken_mono_ns: u64,
) -> Result<ConnectionSnapshot, WireError> {
    let (header, extra) = split(payload)?;
    let info = |offset| word(extra.tcp_info, offset);
    let of_timer = match header.timer {
        Some(Timer::Retransmit(_, times)) => Some(u32::from(times)),
        _ => None,
    };
    let rtt_us = info(TCPI_RTT).filter(|rtt| *rtt != 0);
    Ok(ConnectionSnapshot {
        cookie: cookie_of(header.socket_id.cookie),
        state: state_name(header.state),
        inode: Some(header.inode).filter(|inode| *inode != 0),
        uid: Some(header.uid).filter(|_| header.inode != 0),
        rtt_us,
        // Before the first sample this is the initial value of the timer, not a measurement.
        rttvar_us: rtt_us.and_then(|_| info(TCPI_RTTVAR)),
        cwnd: info(TCPI_SND_CWND),
        retransmits: extra
            .tcp_info
            .get(TCPI_RETRANSMITS)
            .map(|times| u32::from(*times))
            .or(of_timer),
        total_retrans: info(TCPI_TOTAL_RETRANS),
        unacked: info(TCPI_UNACKED),
        drops: extra.drops,
        cgroup_id: extra.cgroup_id,
        taken_mono_ns,
    })
}

// Offsets in `struct tcp_info` of include/uapi/linux/tcp.h, which only ever grows at its end.
const TCPI_RETRANSMITS: usize = 2;
const TCPI_UNACKED: usize = 24;
const TCPI_LAST_DATA_SENT: usize = 44;
const TCPI_RTT: usize = 68;
const TCPI_RTTVAR: usize = 72;
const TCPI_SND_CWND: usize = 80;
const TCPI_TOTAL_RETRANS: usize = 100;
const TCPI_DATA_SEGS_OUT: usize = 156;

/// The kernel's name of a state of include/net/tcp_states.h.
pub fn state_name(state: u8) -> &'static str {
    const NAMES: [&str; 14] = [
        "UNKNOWN",
        "ESTABLISHED",
        "SYN_SENT",
        "SYN_RECV",
        "FIN_WAIT1",
        "FIN_WAIT2",
        "TIME_WAIT",
        "CLOSE",
        "CLOSE_WAIT",
        "LAST_ACK",
        "LISTEN",
        "CLOSING",
        "NEW_SYN_RECV",
        "BOUND_INACTIVE",
    ];
    NAMES.get(usize::from(state)).copied().unwrap_or("UNKNOWN")
}

#[derive(Default)]
struct Extra<'a> {
    tcp_info: &'a [u8],
    drops: Option<u32>,
    v6only: Option<bool>,
    cgroup_id: Option<u64>,
    is_transparent: bool,
}

fn split(payload: &[u8]) -> Result<(InetResponseHeader, Extra<'_>), WireError> {
    let header =
        InetResponseHeader::parse(payload).map_err(|error| WireError::Short(error.to_string()))?;
    let mut extra = Extra::default();
    for (kind, value) in attributes(payload.get(HEADER_LEN..).unwrap_or(&[])) {
        match kind {
            INET_DIAG_INFO => extra.tcp_info = value,
            INET_DIAG_SKMEMINFO => extra.drops = word(value, SK_MEMINFO_DROPS),
            INET_DIAG_SKV6ONLY => extra.v6only = value.first().map(|flag| *flag != 0),
            INET_DIAG_CGROUP_ID => {
                extra.cgroup_id = value.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
            }
            INET_DIAG_SOCKOPT => {
                let first = value.first().copied().unwrap_or(0);
                extra.is_transparent = first & SOCKOPT_TRANSPARENT != 0;
            }
            _ => {}
        }
    }
    Ok((header, extra))
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
