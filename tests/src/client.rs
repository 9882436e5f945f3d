//! Real clients inside a namespace: a non-blocking connect(2), so that a test
//! starts many and waits only for those that it wants to see connected.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::deadline;
use crate::netns::Netns;

pub struct Client {
    stream: TcpStream,
    /// Over loopback a refusal arrives before connect(2) has returned.
    refused: Option<Errno>,
}

impl Client {
    /// Sends the SYN and returns.
    pub fn connect(netns: &Netns, to: SocketAddr) -> Result<Self> {
        netns.run(|| connect_here(to))?
    }

    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.stream.local_addr()?)
    }

    /// Waits until the connection attempt has ended, and says how.
    pub fn outcome(&self) -> Result<Result<(), std::io::Error>> {
        if let Some(refused) = self.refused {
            return Ok(Err(refused.into()));
        }
        let ended = self.ended_within(deadline::soon())?;
        ensure!(
            ended,
            "the connection attempt of {} does not end",
            self.address()?
        );
        Ok(match self.stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(()),
        })
    }

    /// Whether the attempt has ended, well or not, within this time.
    pub fn ended_within(&self, limit: Duration) -> Result<bool> {
        let end = Instant::now() + limit;
        let mut writable = [PollFd::from_borrowed_fd(
            self.stream.as_fd(),
            PollFlags::OUT,
        )];
        Ok(poll(&mut writable, Some(&deadline::left_until(end)))? == 1)
    }

    /// The connected stream, blocking as tests like to read and write it.
    pub fn into_stream(self) -> Result<TcpStream> {
        self.outcome()?.context("connect")?;
        self.stream.set_nonblocking(false)?;
        Ok(self.stream)
    }
}

/// In the namespace of the calling thread, for clients in a loop of their own.
pub fn connect_here(to: SocketAddr) -> Result<Client> {
    let family = if to.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    // Closing leaves nothing behind that would use up ports.
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    let refused = match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => None,
        Err(error @ (Errno::CONNREFUSED | Errno::CONNRESET)) => Some(error),
        Err(error) => return Err(error).with_context(|| format!("connect to {to}")),
    };
    Ok(Client {
        stream: TcpStream::from(socket),
        refused,
    })
}
