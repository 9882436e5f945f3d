//! One TCP segment in its IPv4 or IPv6 packet: written with correct checksums,
//! and read back from what the kernel sends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

const TCP: u8 = 6;
const TCP_HEADER: usize = 20;
const NO_OPERATION: u8 = 1;
const MSS_OPTION: u8 = 2;
const TIMESTAMPS_OPTION: u8 = 8;
const MD5_OPTION: u8 = 19;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub mss: Option<u16>,
    /// The sender's clock, and what it has heard of the other's (RFC 7323); only written, never read.
    pub timestamps: Option<(u32, u32)>,
    /// A TCP-MD5 signature (RFC 2385); only written, never read.
    pub md5: Option<[u8; 16]>,
    pub data: Vec<u8>,
}

impl Segment {
    pub fn new(from: SocketAddr, to: SocketAddr, flags: u8, seq: u32, ack: u32) -> Self {
        Self {
            from,
            to,
            seq,
            ack,
            flags,
            mss: None,
            timestamps: None,
            md5: None,
            data: Vec::new(),
        }
    }

    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// The whole IP packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut tcp = self.encode_tcp();
        let length = tcp.len();
        let checksum = checksum(&[
            &pseudo_header(self.from.ip(), self.to.ip(), TCP, length),
            &tcp,
        ]);
        tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
        let mut packet = ip_header(self.from.ip(), self.to.ip(), TCP, length);
        packet.extend(tcp);
        packet
    }

    fn encode_tcp(&self) -> Vec<u8> {
        let options = self.encode_options();
        let length = TCP_HEADER + options.len();
        let mut tcp = Vec::with_capacity(length + self.data.len());
        tcp.extend(self.from.port().to_be_bytes());
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([(length as u8 / 4) << 4, self.flags]);
        tcp.extend(u16::MAX.to_be_bytes()); // window
        tcp.extend([0; 4]); // checksum, urgent pointer
        tcp.extend(options);
        tcp.extend(&self.data);
        tcp
    }

    /// Whole words of four bytes each.
    fn encode_options(&self) -> Vec<u8> {
        let mut options = Vec::new();
        if let Some(mss) = self.mss {
            options.extend([MSS_OPTION, 4]);
            options.extend(mss.to_be_bytes());
        }
        if let Some((clock, echo)) = self.timestamps {
            options.extend([NO_OPERATION, NO_OPERATION, TIMESTAMPS_OPTION, 10]);
            options.extend(clock.to_be_bytes());
            options.extend(echo.to_be_bytes());
        }
        if let Some(signature) = self.md5 {
            options.extend([NO_OPERATION, NO_OPERATION, MD5_OPTION, 18]);
            options.extend(signature);
        }
        options
    }

    /// `None` for what is not TCP: a TUN device also carries neighbour and
    /// multicast messages.
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let (from, to, tcp): (IpAddr, IpAddr, &[u8]) = match packet.first()? >> 4 {
            4 => {
                let header = usize::from(packet[0] & 0xf) * 4;
                (*packet.get(9)? == TCP).then_some(())?;
                let address = |at: usize| {
                    Some(Ipv4Addr::from(
                        <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?,
                    ))
                };
                (
                    address(12)?.into(),
                    address(16)?.into(),
                    packet.get(header..)?,
                )
            }
            6 => {
                (*packet.get(6)? == TCP).then_some(())?;
                let address = |at: usize| {
                    Some(Ipv6Addr::from(
                        <[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?,
                    ))
                };
                (address(8)?.into(), address(24)?.into(), packet.get(40..)?)
            }
            _ => return None,
        };
        let half = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
        let word = |at: usize| Some(u32::from_be_bytes(tcp.get(at..at + 4)?.try_into().ok()?));
        let header = usize::from(*tcp.get(12)? >> 4) * 4;
        Some(Self {
            from: SocketAddr::new(from, half(0)?),
            to: SocketAddr::new(to, half(2)?),
            seq: word(4)?,
            ack: word(8)?,
            flags: *tcp.get(13)?,
            mss: (header > TCP_HEADER && tcp.get(20) == Some(&MSS_OPTION))
                .then(|| half(22))
                .flatten(),
            timestamps: None,
            md5: None,
            data: tcp.get(header..)?.to_vec(),
        })
    }
}

/// An IP header for a payload of this protocol and length.
pub fn ip_header(from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    const HOPS: u8 = 64;
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = (20 + length) as u16;
            let mut header = vec![0x45, 0];
            header.extend(total.to_be_bytes());
            header.extend([0, 0, 0x40, 0, HOPS, protocol, 0, 0]); // id, don't fragment, checksum
            header.extend(from.octets());
            header.extend(to.octets());
            let checksum = checksum(&[&header]);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            header
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend((length as u16).to_be_bytes());
            header.extend([protocol, HOPS]);
            header.extend(from.octets());
            header.extend(to.octets());
            header
        }
        mixed => panic!("a packet between address families: {mixed:?}"),
    }
}

/// What a checksum of TCP or ICMPv6 covers of the IP header.
pub fn pseudo_header(from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(40);
    for address in [from, to] {
        match address {
            IpAddr::V4(v4) => header.extend(v4.octets()),
            IpAddr::V6(v6) => header.extend(v6.octets()),
        }
    }
    // The same sum for both families: RFC 9293 3.1 and RFC 8200 8.1 differ
    // only in zeroes.
    header.extend((length as u32).to_be_bytes());
    header.extend([0, 0, 0, protocol]);
    header
}

/// The internet checksum over parts of even length, the last may be odd.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &str, to: &str) {
        let mut segment = Segment::new(from.parse().unwrap(), to.parse().unwrap(), SYN | ACK, 7, 9);
        segment.mss = Some(1400);
        segment.data = b"odd".to_vec();
        assert_eq!(Segment::decode(&segment.encode()), Some(segment));
    }

    #[test]
    fn what_is_written_can_be_read() {
        check("10.0.0.1:5", "10.0.0.2:6");
        check("[fd99::1]:5", "[fd99::2]:6");
    }

    #[test]
    fn a_signature_is_an_option_before_the_data() {
        let [from, to] = ["10.0.0.1:5", "10.0.0.2:6"].map(|address| address.parse().unwrap());
        let mut segment = Segment::new(from, to, SYN, 7, 0);
        segment.mss = Some(1400);
        segment.data = b"odd".to_vec();
        let unsigned = segment.clone();
        segment.md5 = Some([0x5a; 16]);
        assert_eq!(segment.encode().len(), unsigned.encode().len() + 20);
        assert_eq!(Segment::decode(&segment.encode()), Some(unsigned));
    }

    #[test]
    fn an_ip_header_sums_to_zero() {
        let header = ip_header([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), TCP, 20);
        assert_eq!(checksum(&[&header]), 0);
    }
}
