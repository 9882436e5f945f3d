//! Netfilter of the calling thread's namespace, by netlink: chains (nf_tables) and connections (conntrack).

use std::io;

use netlink_packet_core::{
    DefaultNla, Emitable, NLA_F_NESTED, NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, NetlinkBuffer,
    NetlinkHeader,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

pub(super) struct Netfilter(Socket);

impl Netfilter {
    pub(super) fn new() -> io::Result<Self> {
        let socket = Socket::new(NETLINK_NETFILTER)?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self(socket))
    }

    /// Sends messages of which one asks for an answer, which is there when the kernel has taken them.
    pub(super) fn ask(&self, messages: &[u8]) -> io::Result<()> {
        self.0.send(messages, 0)?;
        let mut answer = Vec::with_capacity(4096);
        self.0.recv(&mut answer, libc::MSG_DONTWAIT)?;
        match error_of(&answer) {
            Some(0) => Ok(()),
            Some(error) => Err(io::Error::from_raw_os_error(-error)),
            None => Err(io::Error::other("an answer that is none")),
        }
    }
}

/// `struct nlmsgerr` begins with it, negative, or with 0.
fn error_of(answer: &[u8]) -> Option<i32> {
    let answer = NetlinkBuffer::new_checked(answer).ok()?;
    let error = answer.payload().get(..4)?.try_into().ok()?;
    (answer.message_type() == NLMSG_ERROR).then(|| i32::from_ne_bytes(error))
}

/// A message of a subsystem about packets of IPv4 (include/uapi/linux/netfilter/nfnetlink.h:nfgenmsg).
pub(super) fn message(kind: u16, flags: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    headed(kind, flags, [libc::AF_INET as u8, 0, 0, 0], attributes)
}

/// One of the two around messages of a subsystem that are taken all or not at all.
pub(super) fn bracket(kind: u16, subsystem: u8) -> Vec<u8> {
    headed(kind, 0, [0, 0, 0, subsystem], &[])
}

fn headed(kind: u16, flags: u16, family: [u8; 4], attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    let mut bytes = vec![0; header.buffer_len()];
    let length = bytes.len() + family.len() + attributes.iter().map(Vec::len).sum::<usize>();
    header.length = length as u32;
    header.message_type = kind;
    header.flags = NLM_F_REQUEST | flags;
    header.emit(&mut bytes);
    bytes.extend(family);
    bytes.extend(attributes.concat());
    bytes
}

/// The last message asks for an answer; any other gets one only when it fails.
pub(super) const LAST: u16 = NLM_F_ACK;

pub(super) fn attribute(kind: u16, value: impl Into<Vec<u8>>) -> Vec<u8> {
    let attribute = DefaultNla::new(kind, value.into());
    let mut bytes = vec![0; attribute.buffer_len()];
    attribute.emit(&mut bytes);
    bytes
}

pub(super) fn nested(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NLA_F_NESTED, attributes.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_what_follows() {
        let name = attribute(3, *b"odd");
        assert_eq!(name, [7, 0, 3, 0, b'o', b'd', b'd', 0]);
        let message = message(5, LAST, &[nested(2, &[name])]);
        assert_eq!(message.len(), 16 + 4 + 4 + 8);
        assert_eq!(message[..8], [32, 0, 0, 0, 5, 0, 5, 0]);
        assert_eq!(message[20..24], [12, 0, 2, 0x80]);
    }

    #[test]
    fn only_an_answer_has_an_error() {
        let answer = |kind| headed(kind, 0, (-12_i32).to_ne_bytes(), &[]);
        assert_eq!(error_of(&answer(NLMSG_ERROR)), Some(-12));
        assert_eq!(error_of(&answer(5)), None);
        assert_eq!(error_of(&[]), None);
    }
}
