//! Tracked connections of the calling thread's namespace (include/uapi/linux/netfilter/nfnetlink_conntrack.h).

use std::{
    fmt, fs,
    io::{self, ErrorKind},
    net::Ipv4Addr,
};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};

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
pub(super) fn fill() -> io::Result<()> {
    let limit = figure("nf_conntrack_max")?;
    if !(1..=MOST).contains(&limit) {
        return Err(unsupported(format_args!(
            "net.netfilter.nf_conntrack_max of this host is {limit}, and the scene makes {MOST} connections at most; try a smaller host or VM"
        )));
    }
    let netfilter = Netfilter::new()?;
    netfilter.ask(&one(0, LAST)).map_err(|error| {
        unsupported(format_args!(
            "no connection can be tracked by hand ({error}); try modprobe nf_conntrack_netlink"
        ))
    })?;
    for first in (1..limit).step_by(BATCH as usize) {
        let last = limit.min(first + BATCH) - 1;
        let flags = |n| if n == last { LAST } else { 0 };
        let some: Vec<u8> = (first..=last).flat_map(|n| one(n, flags(n))).collect();
        if let Err(error) = netfilter.ask(&some) {
            // That is so when there is no room, of which the count tells, too.
            let made = figure("nf_conntrack_count")?;
            if made < limit {
                return Err(io::Error::new(
                    error.kind(),
                    format!("{made} of {limit} connections could be tracked: {error}"),
                ));
            }
        }
    }
    Ok(())
}

/// What the namespace has, or may have.
fn figure(name: &str) -> io::Result<u32> {
    let file = format!("/proc/sys/net/netfilter/{name}");
    let text = fs::read_to_string(&file);
    let figure = text.ok().and_then(|text| text.trim().parse().ok());
    figure.ok_or_else(|| {
        unsupported(format_args!(
            "this kernel tracks no connections ({file}); try modprobe nf_conntrack"
        ))
    })
}

fn unsupported(why: fmt::Arguments<'_>) -> io::Error {
    io::Error::new(ErrorKind::Unsupported, why.to_string())
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
    const CONFIRMED: u32 = 1 << 3;
    let [_, a, b, c] = n.to_be_bytes();
    let ends = [Ipv4Addr::new(10, a, b, c), Ipv4Addr::LOCALHOST];
    let status = SEEN_REPLY | ASSURED | CONFIRMED;
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
    const FROM: u16 = 1;
    const TO: u16 = 2;
    const NUMBER: u16 = 1;
    const FROM_PORT: u16 = 2;
    const TO_PORT: u16 = 3;
    const PORT: [u8; 2] = 9_u16.to_be_bytes();
    let addresses = [attribute(FROM, from.octets()), attribute(TO, to.octets())];
    let protocol = [
        attribute(NUMBER, [libc::IPPROTO_TCP as u8]),
        attribute(FROM_PORT, PORT),
        attribute(TO_PORT, PORT),
    ];
    [nested(ADDRESSES, &addresses), nested(PROTOCOL, &protocol)]
}
