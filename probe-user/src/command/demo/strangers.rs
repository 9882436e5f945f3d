//! Clients that are not there: raw packets over loopback, from many of its addresses. What is answered comes
//! to a listener that takes nothing, so that nobody resets what they ask for.

use std::{
    cell::Cell,
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, ipproto,
        recv, sendto, socket_with, sockopt,
    },
};

use super::{
    segment::{ACK, SYN, Segment, syn_ack},
    socket::{mute, place},
};

/// The port of all these clients.
const FROM: u16 = 9999;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct Strangers {
    raw: OwnedFd,
    known: Cell<u16>,
    _mute: OwnedFd,
}

/// One whose SYN was answered.
pub(super) struct Stranger<'among> {
    among: &'among Strangers,
    address: Ipv4Addr,
    /// What the server counts from.
    server_isn: u32,
}

impl Strangers {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            raw: raw(ipproto::RAW)?,
            known: Cell::new(0),
            _mute: mute(FROM)?,
        })
    }

    /// A SYN of one that says nothing more.
    pub(super) fn syn(&self) -> io::Result<()> {
        self.syn_from(self.next())
    }

    pub(super) fn syn_from(&self, address: Ipv4Addr) -> io::Result<()> {
        self.send(address, SYN, None, None)
    }

    /// One that sends a SYN, with this on its clock if it has one, and hears the answer.
    pub(super) fn come(&self, clock: Option<u32>) -> io::Result<Stranger<'_>> {
        let address = self.next();
        // It has to listen before the answer comes.
        let ear = raw(ipproto::TCP)?;
        bind(&ear, &SocketAddrV4::new(address, 0))?;
        self.send(address, SYN, None, clock)?;
        Ok(Stranger {
            among: self,
            address,
            server_isn: hear(&ear, address)?,
        })
    }

    /// The address of a client that was not there before.
    fn next(&self) -> Ipv4Addr {
        let number = self.known.get().wrapping_add(1);
        self.known.set(number);
        let [high, low] = number.to_be_bytes();
        Ipv4Addr::new(127, 1, high, low)
    }

    /// A segment that is the first of its client, or acknowledges that of the server.
    fn send(
        &self,
        address: Ipv4Addr,
        flags: u8,
        server_isn: Option<u32>,
        clock: Option<u32>,
    ) -> io::Result<()> {
        let isn = address.to_bits();
        let next = |isn: u32| isn.wrapping_add(1);
        let segment = Segment {
            from: SocketAddrV4::new(address, FROM),
            to: server(),
            flags,
            seq: server_isn.map_or(isn, |_| next(isn)),
            ack: server_isn.map_or(0, next),
            clock,
        };
        match sendto(&self.raw, &segment.encode(), SendFlags::empty(), &server()) {
            // Netfilter has dropped it on its way out (net/ipv4/raw.c:raw_send_hdrinc, seen on 6.18).
            Err(Errno::PERM) => Ok(()),
            sent => Ok(sent.map(drop)?),
        }
    }
}

impl Stranger<'_> {
    /// Acknowledges the server's answer, with this on its clock.
    pub(super) fn acknowledge(&self, clock: Option<u32>) -> io::Result<()> {
        let server_isn = Some(self.server_isn);
        self.among.send(self.address, ACK, server_isn, clock)
    }
}

fn server() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, place().port())
}

fn raw(protocol: Protocol) -> io::Result<OwnedFd> {
    let (family, flags) = (AddressFamily::INET, SocketFlags::CLOEXEC);
    Ok(socket_with(family, SocketType::RAW, flags, Some(protocol))?)
}

/// The first sequence number of the server, of its SYN-ACK.
fn hear(ear: &OwnedFd, address: Ipv4Addr) -> io::Result<u32> {
    let end = Instant::now() + PATIENCE;
    sockopt::set_socket_timeout(ear, sockopt::Timeout::Recv, Some(PATIENCE))?;
    let mut packet = [0; 128];
    while Instant::now() < end {
        let length = match recv(ear, &mut packet, RecvFlags::empty()) {
            Ok((_, length)) => length.min(packet.len()),
            Err(Errno::AGAIN) => break,
            Err(error) => return Err(error.into()),
        };
        let to = SocketAddrV4::new(address, FROM);
        if let Some(isn) = syn_ack(&packet[..length], server(), to) {
            return Ok(isn);
        }
    }
    Err(io::Error::new(
        ErrorKind::TimedOut,
        format!("no SYN-ACK from {} in {PATIENCE:?}", server()),
    ))
}
