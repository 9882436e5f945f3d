//! One TCP segment in its IPv4 packet, as raw sockets take and give it.

use std::net::SocketAddrV4;

pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;

const IP_LEN: usize = 20;
const TCP_LEN: usize = 20;
const CLOCK_LEN: usize = 12;

pub(super) struct Segment {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    /// The sender's clock, in the option of RFC 7323.
    pub clock: Option<u32>,
}

impl Segment {
    /// With an IPv4 header, of which the kernel fills the length and the checksum.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut tcp = self.tcp();
        let pseudo = [
            &self.from.ip().octets()[..],
            &self.to.ip().octets(),
            &[0, libc::IPPROTO_TCP as u8, 0, tcp.len() as u8],
        ]
        .concat();
        let checksum = checksum([&pseudo, &tcp]);
        tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
        let mut packet = vec![0; IP_LEN];
        // Version 4, 5 words; 64 hops.
        packet[0] = 0x45;
        packet[8] = 64;
        packet[9] = libc::IPPROTO_TCP as u8;
        packet[12..16].copy_from_slice(&self.from.ip().octets());
        packet[16..20].copy_from_slice(&self.to.ip().octets());
        packet.extend(tcp);
        packet
    }

    fn tcp(&self) -> Vec<u8> {
        let length = TCP_LEN + self.clock.map_or(0, |_| CLOCK_LEN);
        let mut tcp = Vec::with_capacity(length);
        tcp.extend(self.from.port().to_be_bytes());
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([(length as u8 / 4) << 4, self.flags]);
        tcp.extend(u16::MAX.to_be_bytes());
        // Checksum, urgent pointer.
        tcp.extend([0; 4]);
        if let Some(clock) = self.clock {
            // Twice nothing for whole words, then timestamps; nothing was heard of the other's clock.
            tcp.extend([1, 1, 8, 10]);
            tcp.extend(clock.to_be_bytes());
            tcp.extend([0; 4]);
        }
        tcp
    }
}

/// The sequence number of a SYN-ACK from one to the other; `None` for any other packet.
pub(super) fn syn_ack(packet: &[u8], from: SocketAddrV4, to: SocketAddrV4) -> Option<u32> {
    let ip_len = usize::from(packet.first()? & 0xf) * 4;
    let tcp = packet.get(ip_len..)?;
    let is_between = packet.get(12..16)? == from.ip().octets()
        && packet.get(16..20)? == to.ip().octets()
        && tcp.get(0..2)? == from.port().to_be_bytes()
        && tcp.get(2..4)? == to.port().to_be_bytes();
    let is_syn_ack = tcp.get(13)? & (SYN | ACK) == SYN | ACK;
    let seq = tcp.get(4..8)?.try_into().ok()?;
    (is_between && is_syn_ack).then(|| u32::from_be_bytes(seq))
}

/// RFC 1071, of parts of even length.
fn checksum(parts: [&[u8]; 2]) -> u16 {
    let words = parts.into_iter().flat_map(|part| part.chunks_exact(2));
    let sum: u32 = words
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080);
    const THERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 1, 2, 3), 9999);

    fn segment(flags: u8, clock: Option<u32>) -> Vec<u8> {
        let segment = Segment {
            from: HERE,
            to: THERE,
            flags,
            seq: 7,
            ack: 9,
            clock,
        };
        segment.encode()
    }

    #[test]
    fn a_segment_and_its_checksum_sum_up_to_nothing() {
        for clock in [None, Some(5)] {
            let packet = segment(SYN, clock);
            let (ip, tcp) = packet.split_at(IP_LEN);
            let pseudo = [0, libc::IPPROTO_TCP as u8, 0, tcp.len() as u8];
            let pseudo = [&ip[12..20], &pseudo].concat();
            assert_eq!(checksum([&pseudo, tcp]), 0, "{clock:?}");
            assert_ne!(tcp[16..18], [0, 0], "{clock:?}");
            assert_eq!(usize::from(tcp[12] >> 4) * 4, tcp.len(), "{clock:?}");
        }
    }

    #[test]
    fn a_syn_ack_is_one_of_these_two_only() {
        let answer = segment(SYN | ACK, None);
        assert_eq!(syn_ack(&answer, HERE, THERE), Some(7));
        assert_eq!(syn_ack(&answer, THERE, HERE), None);
        assert_eq!(syn_ack(&segment(ACK, None), HERE, THERE), None);
        for length in 0..IP_LEN + 14 {
            assert_eq!(syn_ack(&answer[..length], HERE, THERE), None, "{length}");
        }
    }
}
