//! SYNs of clients that do not exist: raw packets over loopback, from many of its addresses. The SYN-ACKs
//! come to a listener that takes nothing, so that nobody resets what they ask for.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::OwnedFd,
};

use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with,
};

use super::socket::{mute, place};

/// The port of all these clients.
const FROM: u16 = 9999;

const IP_LEN: usize = 20;
const TCP_LEN: usize = 20;

pub struct Syns {
    raw: OwnedFd,
    sent: u16,
    _mute: OwnedFd,
}

impl Syns {
    pub fn new() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let raw = socket_with(
            AddressFamily::INET,
            SocketType::RAW,
            flags,
            Some(ipproto::RAW),
        )?;
        Ok(Self {
            raw,
            sent: 0,
            _mute: mute(FROM)?,
        })
    }

    /// One of a client that was not there before.
    pub fn send(&mut self) -> io::Result<()> {
        self.sent = self.sent.wrapping_add(1);
        let [high, low] = self.sent.to_be_bytes();
        let client = Ipv4Addr::new(127, 1, high, low);
        let place = SocketAddrV4::new(Ipv4Addr::LOCALHOST, place().port());
        sendto(&self.raw, &syn(client, place), SendFlags::empty(), &place)?;
        Ok(())
    }
}

/// An IPv4 header, of which the kernel fills the length and the checksum, and a TCP header.
fn syn(from: Ipv4Addr, to: SocketAddrV4) -> [u8; IP_LEN + TCP_LEN] {
    const SYN: u8 = 2;
    let mut packet = [0; IP_LEN + TCP_LEN];
    let (ip, tcp) = packet.split_at_mut(IP_LEN);
    // Version 4, 5 words; 64 hops.
    ip[0] = 0x45;
    ip[8] = 64;
    ip[9] = libc::IPPROTO_TCP as u8;
    ip[12..16].copy_from_slice(&from.octets());
    ip[16..20].copy_from_slice(&to.ip().octets());
    tcp[0..2].copy_from_slice(&FROM.to_be_bytes());
    tcp[2..4].copy_from_slice(&to.port().to_be_bytes());
    tcp[4..8].copy_from_slice(&from.octets());
    // 5 words.
    tcp[12] = 5 << 4;
    tcp[13] = SYN;
    tcp[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    let pseudo = [0, libc::IPPROTO_TCP as u8, 0, TCP_LEN as u8];
    let checksum = checksum([&ip[12..20], &pseudo, &*tcp]);
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// RFC 1071, of parts of even length.
fn checksum(parts: [&[u8]; 3]) -> u16 {
    let words = parts.into_iter().flat_map(|part| part.chunks_exact(2));
    let sum: u32 = words
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_and_its_checksum_sum_up_to_nothing() {
        let packet = syn(
            Ipv4Addr::new(127, 1, 2, 3),
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080),
        );
        let (ip, tcp) = packet.split_at(IP_LEN);
        let pseudo = [0, libc::IPPROTO_TCP as u8, 0, TCP_LEN as u8];
        assert_eq!(checksum([&ip[12..20], &pseudo, tcp]), 0);
        assert_ne!(tcp[16..18], [0, 0]);
    }
}
