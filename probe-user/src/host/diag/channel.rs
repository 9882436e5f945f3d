//! One question, one answer over a netlink socket.
//!
//! In: the bytes of a request. Out: the payload of each message of the answer, with the time the kernel wrote it, and how the answer
//! ended. It never waits longer than [`RECEIVE_LIMIT`] for a datagram or [`ANSWER_LIMIT`] for a whole answer, and after
//! an answer it did not see the end of it calls itself spoiled.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::error::DiagError;
use super::wire::{Frame, Frames, WireError};
use crate::host::{clock::mono_ns, netns::cookie_of};

const RECEIVE_LIMIT: Duration = Duration::from_secs(1);
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// Larger buffers do not make larger datagrams: the kernel stops at 32 KiB of a dump.
const BUFFER_BYTES: usize = 32 * 1024;

/// What is done with a message's payload and the time the kernel wrote it.
pub(super) type Each<'a> = dyn FnMut(&[u8], u64) -> Result<(), DiagError> + 'a;

/// How an answer ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Complete,
    /// The kernel says that what it dumped changed meanwhile (NLM_F_DUMP_INTR).
    Interrupted,
    /// With this errno.
    Refused(i32),
}

#[derive(Debug)]
pub(super) struct Channel {
    socket: Socket,
    buffer: BytesMut,
    sequence: u32,
    spoiled: bool,
}

impl Channel {
    /// That of the namespace it was opened in.
    pub(super) fn netns_cookie(&self) -> Option<u64> {
        cookie_of(self.socket.as_fd())
    }

    pub(super) fn open() -> Result<Channel, DiagError> {
        let socket = Socket::new(NETLINK_SOCK_DIAG).map_err(DiagError::socket("socket"))?;
        // Connected to the kernel, so that nobody else's message is ever taken for an answer.
        socket
            .connect(&SocketAddr::new(0, 0))
            .map_err(DiagError::socket("connect"))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(RECEIVE_LIMIT))
            .map_err(|errno| DiagError::socket("setsockopt(SO_RCVTIMEO)")(errno.into()))?;
        Ok(Channel {
            socket,
            buffer: BytesMut::with_capacity(BUFFER_BYTES),
            sequence: 0,
            spoiled: false,
        })
    }

    pub(super) fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    /// Sends what `request` makes of a sequence number and gives each message of the answer to `each`.
    pub(super) fn ask(
        &mut self,
        request: impl FnOnce(u32) -> Vec<u8>,
        each: &mut Each<'_>,
    ) -> Result<Ended, DiagError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.spoiled = true;
        let began = Instant::now();
        self.socket
            .send(&request(self.sequence), 0)
            .map_err(DiagError::socket("send"))?;
        // The first datagram is written during the send, each further one at the end of the receive before it:
        // seen on 6.18 by changing the queues between the calls.
        let mut written_mono_ns = mono_ns();
        let mut interrupted = false;
        loop {
            if began.elapsed() > ANSWER_LIMIT {
                return Err(DiagError::Timeout);
            }
            self.receive()?;
            let next_written_mono_ns = mono_ns();
            let frames = Frames::new(&self.buffer, self.sequence);
            if let Some(ended) = take(frames, written_mono_ns, &mut interrupted, each)? {
                self.spoiled = false;
                return Ok(ended);
            }
            written_mono_ns = next_written_mono_ns;
        }
    }

    /// One datagram into the buffer.
    fn receive(&mut self) -> Result<(), DiagError> {
        loop {
            self.buffer.clear();
            self.buffer.reserve(BUFFER_BYTES);
            match self.socket.recv(&mut self.buffer, libc::MSG_TRUNC) {
                // With MSG_TRUNC the kernel tells the datagram's own length.
                Ok(length) if length > self.buffer.len() => {
                    return Err(WireError::Truncated {
                        expected: length,
                        got: self.buffer.len(),
                    }
                    .into());
                }
                Ok(_) => return Ok(()),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return Err(DiagError::Timeout),
                    _ => return Err(DiagError::socket("receive")(error)),
                },
            }
        }
    }
}

/// Gives each message of one datagram to `each`. `None` while the answer goes on in the next one.
pub(super) fn take(
    frames: Frames<'_>,
    written_mono_ns: u64,
    interrupted: &mut bool,
    each: &mut Each<'_>,
) -> Result<Option<Ended>, DiagError> {
    for frame in frames {
        let ended = match frame? {
            Frame::Message {
                payload,
                multipart,
                interrupted: now,
            } => {
                *interrupted |= now;
                each(payload, written_mono_ns)?;
                (!multipart).then_some(Ended::Complete)
            }
            Frame::Done {
                errno: 0,
                interrupted: now,
            } => Some(if *interrupted || now {
                Ended::Interrupted
            } else {
                Ended::Complete
            }),
            Frame::Error { errno: 0 } => Some(Ended::Complete),
            Frame::Done { errno, .. } | Frame::Error { errno } => Some(Ended::Refused(errno)),
        };
        if ended.is_some() {
            return Ok(ended);
        }
    }
    Ok(None)
}
