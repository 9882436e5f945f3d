//! An ICMP echo as a barrier: the wire keeps packets in order, so when the
//! answer is here, everything that the kernel had to say before it is too. No
//! TCP counter moves.

use std::net::Ipv4Addr;

use crate::family::LOCAL_V4;
use crate::segment::{checksum, ip_header};

const ICMP: u8 = 1;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
/// Of the barrier; nobody else on the wire.
const SENDER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 250);

pub fn request(number: u16) -> Vec<u8> {
    let mut icmp = vec![ECHO_REQUEST, 0, 0, 0, 0, 0];
    icmp.extend(number.to_be_bytes());
    let checksum = checksum(&[&icmp]);
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    let mut packet = ip_header(SENDER.into(), LOCAL_V4.into(), ICMP, icmp.len());
    packet.extend(icmp);
    packet
}

pub fn is_reply(packet: &[u8], number: u16) -> bool {
    packet.len() >= 28
        && packet[0] == 0x45
        && packet[9] == ICMP
        && packet[20] == ECHO_REPLY
        && packet[26..28] == number.to_be_bytes()
}
