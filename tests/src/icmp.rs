//! ICMP and ICMPv6 errors about a segment that the kernel has sent, as a router
//! on the way would report them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::segment::{Segment, checksum, ip_header, pseudo_header};

/// "Destination unreachable" with this code (RFC 792, RFC 4443 3.1), quoting
/// the segment from its IP header to the end of its TCP header.
pub fn unreachable(about: &Segment, code: u8) -> Vec<u8> {
    /// On the wire's networks; no client has these.
    const ROUTER_V4: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 251);
    const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 0xfb);
    let (router, protocol, kind): (IpAddr, u8, u8) = if about.from.is_ipv4() {
        (ROUTER_V4.into(), 1, 3)
    } else {
        (ROUTER_V6.into(), 58, 1)
    };
    let to = about.from.ip();
    let mut icmp = vec![kind, code, 0, 0, 0, 0, 0, 0];
    icmp.extend(about.encode());
    // Only ICMPv6 sums up the addresses as well.
    let header = pseudo_header(router, to, protocol, icmp.len());
    let header = if to.is_ipv4() { &[] } else { &header[..] };
    let checksum = checksum(&[header, &icmp]);
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    let mut packet = ip_header(router, to, protocol, icmp.len());
    packet.extend(icmp);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::SYN;

    #[test]
    fn the_checksum_covers_what_it_must() {
        let [from, to] = ["10.0.0.1:5", "10.0.0.2:6"].map(|address| address.parse().unwrap());
        let packet = unreachable(&Segment::new(from, to, SYN, 7, 0), 1);
        assert_eq!(checksum(&[&packet[20..]]), 0);

        let [from, to] = ["[fd99::1]:5", "[fd99::2]:6"].map(|address| address.parse().unwrap());
        let packet = unreachable(&Segment::new(from, to, SYN, 7, 0), 1);
        let [router, server] = [8, 24].map(|at| {
            let address: [u8; 16] = packet[at..at + 16].try_into().unwrap();
            IpAddr::from(address)
        });
        let icmp = &packet[40..];
        let header = pseudo_header(router, server, 58, icmp.len());
        assert_eq!(checksum(&[&header, icmp]), 0);
    }
}
