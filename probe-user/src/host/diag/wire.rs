//! The bytes of netlink: requests out, frames and attributes in.
//!
//! In: addresses and ports, or a datagram. Out: a request, or slices of the datagram. It does no I/O, copies nothing of
//! an answer, and never looks beyond a length it has tested.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NLMSG_NOOP, NLMSG_OVERRUN, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::IPPROTO_TCP;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};

pub(super) use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("a datagram of {expected} bytes was cut to {got}")]
    Truncated { expected: usize, got: usize },
    #[error("a message claims {claimed} bytes where {left} are left")]
    Length { claimed: usize, left: usize },
    #[error("the kernel lost part of the answer (NLMSG_OVERRUN)")]
    Overrun,
    #[error("a message is too short for its kind: {0}")]
    Short(String),
}

/// A LISTEN dump. The kernel compares family, state and port before it writes anything, so this costs the same with
/// a hundred thousand connections.
pub(super) fn listen_request(family: u8, port: Option<u16>, sequence: u32) -> Vec<u8> {
    let wanted = ExtensionFlags::SKMEMINFO;
    of_port(
        family,
        (port.unwrap_or(0), 0),
        StateFlags::LISTEN,
        wanted,
        sequence,
    )
}

/// A dump of the connections of a port, with what the kernel tells of each in `tcp_info`.
pub(super) fn connections_request(family: u8, port: u16, sequence: u32) -> Vec<u8> {
    let states = StateFlags::ESTABLISHED | StateFlags::CLOSE_WAIT;
    of_port(family, (port, 0), states, ExtensionFlags::INFO, sequence)
}

/// A dump of the half-open requests of a port. The kernel walks all connections for it.
pub(super) fn half_open_request(family: u8, port: u16, sequence: u32) -> Vec<u8> {
    let wanted = ExtensionFlags::empty();
    of_port(family, (port, 0), StateFlags::SYN_RECV, wanted, sequence)
}

/// A dump of all but listeners, by the ports of both ends; 0 is every one. The kernel walks all connections for it.
pub(super) fn ends_request(family: u8, ports: (u16, u16), sequence: u32) -> Vec<u8> {
    let states = StateFlags::all() - StateFlags::LISTEN;
    of_port(family, ports, states, ExtensionFlags::empty(), sequence)
}

/// A dump of connections of this host's own that have no answer yet.
pub(super) fn unanswered_request(family: u8, sequence: u32) -> Vec<u8> {
    let wanted = ExtensionFlags::empty();
    of_port(family, (0, 0), StateFlags::SYN_SENT, wanted, sequence)
}

/// A dump of the sockets of a port of this end, and of one of the other, that are in these states; port 0 is every one.
fn of_port(
    family: u8,
    (port, remote_port): (u16, u16),
    states: StateFlags,
    extensions: ExtensionFlags,
    sequence: u32,
) -> Vec<u8> {
    let mut socket_id = if family == AF_INET6 {
        SocketId::new_v6()
    } else {
        SocketId::new_v4()
    };
    socket_id.source_port = port;
    socket_id.destination_port = remote_port;
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions,
        states,
        socket_id,
    };
    serialized(request, NLM_F_DUMP, sequence)
}

/// The lookup of one socket by both ends, of the same family. Without a cookie, any socket there.
pub(super) fn exact_request(
    local: SocketAddr,
    remote: SocketAddr,
    cookie: Option<u64>,
    sequence: u32,
) -> Vec<u8> {
    let wanted = ExtensionFlags::INFO | ExtensionFlags::SKMEMINFO;
    exact(local, remote, cookie, wanted, sequence)
}

/// A listener: what is looked up has no other end.
pub(super) fn listener_request(local: SocketAddr, cookie: u64, sequence: u32) -> Vec<u8> {
    let nowhere: IpAddr = match local {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let remote = SocketAddr::new(nowhere, 0);
    let wanted = ExtensionFlags::SKMEMINFO;
    exact(local, remote, Some(cookie), wanted, sequence)
}

fn exact(
    local: SocketAddr,
    remote: SocketAddr,
    cookie: Option<u64>,
    extensions: ExtensionFlags,
    sequence: u32,
) -> Vec<u8> {
    let socket_id = SocketId {
        source_port: local.port(),
        destination_port: remote.port(),
        source_address: local.ip(),
        destination_address: remote.ip(),
        interface_id: scope(local),
        cookie: cookie.map_or([0xff; 8], cookie_bytes),
    };
    let family = if matches!(local.ip(), IpAddr::V4(_)) {
        AF_INET
    } else {
        AF_INET6
    };
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions,
        states: StateFlags::all(),
        socket_id,
    };
    serialized(request, 0, sequence)
}

/// A link-local connection is only found together with its interface.
fn scope(local: SocketAddr) -> u32 {
    match local {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}

fn serialized(request: InetRequest, flags: u16, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// `idiag_cookie[2]`: the low half first, each half in the host's order (net/core/sock_diag.c:sock_diag_save_cookie).
pub(super) fn cookie_bytes(cookie: u64) -> [u8; 8] {
    let [low, high] = [cookie as u32, (cookie >> 32) as u32].map(u32::to_ne_bytes);
    std::array::from_fn(|i| if i < 4 { low[i] } else { high[i - 4] })
}

pub(super) fn cookie_of(bytes: [u8; 8]) -> u64 {
    let [a, b, c, d, e, f, g, h] = bytes;
    u64::from(u32::from_ne_bytes([e, f, g, h])) << 32 | u64::from(u32::from_ne_bytes([a, b, c, d]))
}

/// `sizeof(struct nlmsghdr)`.
const NETLINK_HEADER_LEN: usize = 16;

/// One message of an answer, without what is of no use to us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Message {
        payload: &'a [u8],
        multipart: bool,
        interrupted: bool,
    },
    Done {
        errno: i32,
        interrupted: bool,
    },
    Error {
        errno: i32,
    },
}

/// The messages of a datagram that answer request `sequence`. Ends after the first error.
pub(super) struct Frames<'a> {
    rest: &'a [u8],
    sequence: u32,
}

impl<'a> Frames<'a> {
    pub(super) fn new(datagram: &'a [u8], sequence: u32) -> Frames<'a> {
        Frames {
            rest: datagram,
            sequence,
        }
    }

    fn fail(&mut self, error: WireError) -> Option<Result<Frame<'a>, WireError>> {
        self.rest = &[];
        Some(Err(error))
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let datagram = self.rest;
            let Ok(message) = NetlinkBuffer::new_checked(datagram) else {
                let claimed = datagram.first_chunk().map_or(NETLINK_HEADER_LEN, |bytes| {
                    u32::from_ne_bytes(*bytes) as usize
                });
                return self.fail(WireError::Length {
                    claimed,
                    left: datagram.len(),
                });
            };
            let length = message.length() as usize;
            self.rest = datagram.get(length.next_multiple_of(4)..).unwrap_or(&[]);
            if message.sequence_number() != self.sequence {
                continue;
            }
            let payload = message.payload();
            let interrupted = message.flags() & NLM_F_DUMP_INTR != 0;
            return match message.message_type() {
                NLMSG_NOOP => continue,
                NLMSG_OVERRUN => self.fail(WireError::Overrun),
                NLMSG_DONE => Some(Ok(Frame::Done {
                    errno: errno(payload).unwrap_or(0),
                    interrupted,
                })),
                NLMSG_ERROR => match errno(payload) {
                    Some(errno) => Some(Ok(Frame::Error { errno })),
                    None => self.fail(WireError::Short("NLMSG_ERROR without a code".into())),
                },
                _ => Some(Ok(Frame::Message {
                    payload,
                    multipart: message.flags() & NLM_F_MULTIPART != 0,
                    interrupted,
                })),
            };
        }
        None
    }
}

/// The code at the start of NLMSG_ERROR and NLMSG_DONE, as a positive errno.
fn errno(payload: &[u8]) -> Option<i32> {
    payload
        .first_chunk()
        .map(|bytes| i32::from_ne_bytes(*bytes).wrapping_neg())
}

/// Type and value of each attribute. Stops where a length makes no sense: what came before is still good.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [a, b, c, d] = *rest.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        // The two upper bits are flags (NLA_TYPE_MASK).
        Some((u16::from_ne_bytes([c, d]) & 0x3fff, value))
    })
}

/// A 32-bit word of a value that may be shorter on an older kernel.
pub(super) fn word(value: &[u8], offset: usize) -> Option<u32> {
    value
        .get(offset..)?
        .first_chunk()
        .map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
