//! Requests to the kernel over netlink(7), as little of it as the tests need:
//! messages with attributes, and the kernel's errno for an answer. They concern
//! the namespace of the calling thread.

use rustix::io::{Errno, Result};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

pub const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
pub const ACKNOWLEDGE: u16 = REQUEST | libc::NLM_F_ACK as u16;

const HEADER: usize = 16;

/// `struct nlmsghdr` and what follows it. Sequence number and port are left out:
/// every socket here asks once.
pub fn message(kind: u16, flags: u16, payload: &[&[u8]]) -> Vec<u8> {
    let payload = payload.concat();
    let length = (HEADER + payload.len()) as u32;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(payload);
    message
}

/// `struct nlattr` and its value, padded to whole words.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (4 + value.len()) as u16;
    let mut attribute = length.to_ne_bytes().to_vec();
    attribute.extend(kind.to_ne_bytes());
    attribute.extend(value);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

/// Sends the messages in one piece, of which the last that can fail asks for an
/// answer. The kernel has given it when the send returns.
pub fn ask(protocol: Protocol, messages: &[Vec<u8>]) -> Result<()> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(protocol),
    )?;
    send(&socket, &messages.concat(), SendFlags::empty())?;
    let mut answer = [0; 4096];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::DONTWAIT)?;
    error_of(&answer[..length])
}

/// `struct nlmsgerr` begins with the errno, negative, or 0.
fn error_of(answer: &[u8]) -> Result<()> {
    let error = answer.get(HEADER..HEADER + 4);
    let error = error.and_then(|bytes| bytes.try_into().ok());
    match i32::from_ne_bytes(error.ok_or(Errno::BADMSG)?) {
        0 => Ok(()),
        error => Err(Errno::from_raw_os_error(-error)),
    }
}
