//! Whether an address is this host's own, as the kernel would route it.
//!
//! In: a namespace and an address. Out: whether a packet to it is delivered there rather than forwarded. One question over
//! rtnetlink (net/ipv4/route.c:inet_rtm_getroute, net/ipv6/route.c:inet6_rtm_getroute), on a socket that is closed again.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::netns::{NetnsError, Registry, inside};

const NLMSG_ERROR: u16 = 2;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const NLM_F_REQUEST: u16 = 1;
const RTA_DST: u16 = 1;
const RTN_LOCAL: u8 = 2;
const HEADER: usize = 16;
const RTMSG: usize = 12;
/// Of `rtm_type` in `struct rtmsg`.
const TYPE_AT: usize = HEADER + 7;

/// What says that no route leads there, or that one refuses (net/ipv4/fib_semantics.c:fib_props), or that there is no IPv6.
const NO_ROUTE: [i32; 6] = [
    libc::ENETUNREACH,
    libc::EHOSTUNREACH,
    libc::EINVAL,
    libc::EACCES,
    libc::EOPNOTSUPP,
    libc::EAFNOSUPPORT,
];

/// Whether `address` belongs to namespace `netns`.
pub fn is_local(registry: &mut Registry, netns: u32, address: IpAddr) -> Result<bool, NetnsError> {
    let namespace = registry.open(netns)?;
    inside(namespace.as_fd(), move || ask(address))
        .and_then(|answer| answer)
        .map_err(|source| NetnsError::enter(netns, source))
}

fn ask(address: IpAddr) -> io::Result<bool> {
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(address), 0)?;
    // The kernel answers within the call that asks: nothing to wait for.
    let mut answer = Vec::with_capacity(4096);
    socket.recv(&mut answer, libc::MSG_DONTWAIT)?;
    says_local(&answer)
}

fn request(address: IpAddr) -> Vec<u8> {
    let (family, bytes) = match address.to_canonical() {
        IpAddr::V4(v4) => (libc::AF_INET as u8, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6 as u8, v6.octets().to_vec()),
    };
    let length = HEADER + RTMSG + 4 + bytes.len();
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_ne_bytes());
    message.extend(RTM_GETROUTE.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([family, bytes.len() as u8 * 8]);
    message.extend([0; RTMSG - 2]);
    message.extend((4 + bytes.len() as u16).to_ne_bytes());
    message.extend(RTA_DST.to_ne_bytes());
    message.extend(bytes);
    message
}

/// No route, and one that refuses, say no. Anything else that is no route is no answer.
fn says_local(answer: &[u8]) -> io::Result<bool> {
    let kind = answer.get(4..6).map(|b| u16::from_ne_bytes([b[0], b[1]]));
    match kind {
        Some(RTM_NEWROUTE) => Ok(answer.get(TYPE_AT) == Some(&RTN_LOCAL)),
        Some(NLMSG_ERROR) => match answer.get(HEADER..HEADER + 4) {
            Some(&[a, b, c, d]) => {
                let errno = i32::from_ne_bytes([a, b, c, d]).saturating_neg();
                if NO_ROUTE.contains(&errno) {
                    Ok(false)
                } else {
                    Err(io::Error::from_raw_os_error(errno))
                }
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        },
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_its_own_addresses() {
        let check = |address: &str, expect: bool| {
            let got = ask(address.parse().expect("an address")).expect("an answer");
            assert_eq!(got, expect, "{address}");
        };
        check("127.0.0.1", true);
        check("127.5.5.5", true);
        check("::ffff:127.0.0.1", true);
        check("192.0.2.1", false);
    }

    #[test]
    fn only_no_route_says_no() {
        let error = |errno: i32| {
            let mut answer = vec![0; HEADER + 4];
            answer[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
            answer[HEADER..].copy_from_slice(&(-errno).to_ne_bytes());
            says_local(&answer).map_err(|error| error.raw_os_error())
        };
        assert_eq!(error(libc::ENETUNREACH), Ok(false));
        assert_eq!(error(libc::EHOSTUNREACH), Ok(false));
        assert_eq!(error(libc::ENOBUFS), Err(Some(libc::ENOBUFS)));
        assert!(says_local(&[]).is_err());
        assert!(says_local(&[0; 64]).is_err());
        let cut = &error_head()[..HEADER];
        assert!(says_local(cut).is_err());
    }

    fn error_head() -> Vec<u8> {
        let mut answer = vec![0; HEADER + 4];
        answer[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        answer
    }
}
