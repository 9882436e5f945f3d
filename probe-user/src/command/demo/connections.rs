//! Tracked connections of the calling thread's namespace (include/uapi/linux/netfilter/nfnetlink_conntrack.h).

use std::{
    fs,
    io::{self, ErrorKind},
    net::Ipv4Addr,
};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rustix::io::Errno;

use super::netfilter::{LAST, Netfilter, attribute, message, nested};

/// The kernel's own limit on a host with memory enough; made in a second or two, of less than 100 MB.
const MOST: u32 = 262_144;

/// So many in one go.
const BATCH: u32 = 512;

/// How long they are kept when nothing is heard of them: longer than any scene.
const KEPT_SECONDS: u32 = 600;

/// Makes as many connections as the namespace may track: whole ones, since others would make room for new ones
/// (net/netfilter/nf_conntrack_core.c:early_drop_list). The limit is one for all namespaces, and is left alone;
/// each fills up by itself.
pub fn fill() -> io::Result<()> {
    let limit = limit()?;
    if !(1..=MOST).contains(&limit) {
        return Err(io::Error::new(
            ErrorKind::Unsupported,
            format!(
                "net.netfilter.nf_conntrack_max of this host is {limit}, and the scene makes {MOST} connections at most; try a smaller host or VM"
            ),
        ));
    }
    let netfilter = Netfilter::new()?;
    for first in (0..limit).step_by(BATCH as usize) {
        let last = limit.min(first + BATCH) - 1;
        let flags = |n| if n == last { LAST } else { 0 };
        let some: Vec<u8> = (first..=last).flat_map(|n| one(n, flags(n))).collect();
        match netfilter.ask(&some) {
            // The kernel has some that the scene did not make.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOMEM) => break,
            made => made.map_err(|error| named(&error))?,
        }
    }
    Ok(())
}

fn limit() -> io::Result<u32> {
    const FILE: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
    let limit = fs::read_to_string(FILE);
    let limit = limit.ok().and_then(|text| text.trim().parse().ok());
    limit.ok_or_else(|| {
        io::Error::new(
            ErrorKind::Unsupported,
            format!("this kernel tracks no connections ({FILE}); try modprobe nf_conntrack"),
        )
    })
}

fn named(error: &io::Error) -> io::Error {
    let kind = match Errno::from_io_error(error) {
        Some(Errno::INVAL | Errno::OPNOTSUPP) => ErrorKind::Unsupported,
        _ => error.kind(),
    };
    io::Error::new(
        kind,
        format!(
            "no connection can be tracked by hand ({error}); try modprobe nf_conntrack_netlink"
        ),
    )
}

/// The n-th connection, both of whose ends have spoken.
fn one(n: u32, flags: u16) -> Vec<u8> {
    const NEW: u16 = 1 << 8;
    const ORIGINAL: u16 = 1;
    const REPLY: u16 = 2;
    const STATUS: u16 = 3;
    const TIMEOUT: u16 = 7;
    const SEEN_REPLY: u32 = 1 << 1;
    const ASSURED: u32 = 1 << 2;
    let [_, a, b, c] = n.to_be_bytes();
    let ends = [Ipv4Addr::new(10, a, b, c), Ipv4Addr::LOCALHOST];
    let status = SEEN_REPLY | ASSURED;
    let connection = [
        nested(ORIGINAL, &way(ends)),
        nested(REPLY, &way([ends[1], ends[0]])),
        attribute(STATUS, status.to_be_bytes()),
        attribute(TIMEOUT, KEPT_SECONDS.to_be_bytes()),
    ];
    message(NEW, NLM_F_CREATE | NLM_F_EXCL | flags, &connection)
}

/// From one end to the other, from and to a port that says nothing.
fn way([from, to]: [Ipv4Addr; 2]) -> [Vec<u8>; 2] {
    const ADDRESSES: u16 = 1;
    const PROTOCOL: u16 = 2;
    const PORT: [u8; 2] = 9_u16.to_be_bytes();
    let addresses = [attribute(1, from.octets()), attribute(2, to.octets())];
    let protocol = [
        attribute(1, [libc::IPPROTO_TCP as u8]),
        attribute(2, PORT),
        attribute(3, PORT),
    ];
    [nested(ADDRESSES, &addresses), nested(PROTOCOL, &protocol)]
}
