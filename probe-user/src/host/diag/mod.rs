//! Snapshots of sockets through `sock_diag`, in the namespace the netlink socket was made in.
//!
//! In: a port, or the two ends of a connection. Out: what the kernel holds about the sockets at that instant, with the instant.
//! It never blocks for longer than the time limits of [`channel`], never changes a socket, and never mistakes "there is
//! no such socket" for "this kernel cannot tell".

mod channel;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod pool;
mod snapshot;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use channel::{Channel, Ended};
pub use error::DiagError;
pub use pool::{DiagPool, IDLE};
pub use snapshot::state_name;

use super::netns::{NetnsError, inside, inum_of_fd};
use crate::model::socket::{
    AcceptedSnapshot, ConnectionSnapshot, EndSnapshot, ListenerSnapshot, RequestSnapshot,
};

/// A dump that the kernel calls inconsistent is asked for this often.
const DUMP_TRIES: u32 = 3;

/// One `NETLINK_SOCK_DIAG` socket. It belongs to the namespace it was made in, and keeps it alive.
#[derive(Debug)]
pub struct Diag {
    channel: Channel,
}

impl Diag {
    /// In the namespace of the calling thread.
    pub fn open() -> Result<Diag, DiagError> {
        Ok(Diag {
            channel: Channel::open()?,
        })
    }

    /// In the namespace behind `ns`.
    pub fn open_in(ns: BorrowedFd<'_>) -> Result<Diag, DiagError> {
        inside(ns, Diag::open)
            .map_err(|source| NetnsError::enter(inum_of_fd(ns).unwrap_or(0), source))?
    }

    /// The net cookie of its namespace, where the kernel has one.
    pub fn netns_cookie(&self) -> Option<u64> {
        self.channel.netns_cookie()
    }

    /// Whether this kernel answers at all: where inet_diag or tcp_diag is a module that is not there, everything is ENOENT.
    pub fn probe(&mut self) -> Result<(), DiagError> {
        self.dump(wire::AF_INET, Some(1)).map(drop)
    }

    /// The listeners on `port`, or all. Of a SO_REUSEPORT group every member is there, which an exact lookup cannot do.
    pub fn listeners(&mut self, port: Option<u16>) -> Result<Vec<ListenerSnapshot>, DiagError> {
        let mut found = self.dump(wire::AF_INET, port)?;
        match self.dump(wire::AF_INET6, port) {
            Ok(more) => found.extend(more),
            // A kernel without IPv6 has no IPv6 listeners.
            Err(DiagError::NoModule) => {}
            Err(error) => return Err(error),
        }
        Ok(found)
    }

    /// The listeners on `port` whose sockets are IPv6 ones, or those whose are IPv4 ones: half of the work.
    pub fn listeners_of(
        &mut self,
        ipv6: bool,
        port: u16,
    ) -> Result<Vec<ListenerSnapshot>, DiagError> {
        let family = if ipv6 { wire::AF_INET6 } else { wire::AF_INET };
        self.dump(family, Some(port))
    }

    /// The listener at exactly this address, if it is the one with this cookie and the lookup comes upon it: of a
    /// SO_REUSEPORT group it comes upon one, and without a device only upon those that are bound to none. It costs the
    /// same on a host with a thousand listeners.
    pub fn listener(
        &mut self,
        at: SocketAddr,
        cookie: u64,
    ) -> Result<Option<ListenerSnapshot>, DiagError> {
        let mut found = None;
        let ended = self.channel.ask(
            |sequence| wire::listener_request(at, cookie, sequence),
            &mut |payload, taken_mono_ns| {
                found = snapshot::listener(payload, taken_mono_ns)?;
                Ok(())
            },
        )?;
        match ended {
            Ended::Complete | Ended::Interrupted => Ok(found),
            Ended::Refused(libc::ENOENT) => Ok(None),
            Ended::Refused(errno) => Err(DiagError::refused("exact lookup", errno)),
        }
    }

    /// Connections of `port` that were accepted; so many at most.
    pub fn accepted(
        &mut self,
        port: u16,
        at_most: usize,
    ) -> Result<Vec<AcceptedSnapshot>, DiagError> {
        let mut found = Vec::new();
        for family in [wire::AF_INET, wire::AF_INET6] {
            let ended = self.channel.ask(
                |sequence| wire::connections_request(family, port, sequence),
                &mut |payload, _| {
                    if found.len() < at_most {
                        found.extend(snapshot::accepted(payload)?);
                    }
                    Ok(())
                },
            )?;
            match ended {
                // One that came or went meanwhile is no matter.
                Ended::Complete | Ended::Interrupted | Ended::Refused(libc::ENOENT) => {}
                Ended::Refused(errno) => {
                    return Err(DiagError::refused("list of connections", errno));
                }
            }
        }
        Ok(found)
    }

    /// Half-open requests of `port`, so many at most, and how many there are in all.
    pub fn requests(
        &mut self,
        port: u16,
        at_most: usize,
    ) -> Result<(Vec<RequestSnapshot>, usize), DiagError> {
        let (mut found, mut in_all) = (Vec::new(), 0);
        for family in [wire::AF_INET, wire::AF_INET6] {
            let ended = self.channel.ask(
                |sequence| wire::half_open_request(family, port, sequence),
                &mut |payload, _| {
                    if let Some(request) = snapshot::request(payload)? {
                        in_all += 1;
                        if found.len() < at_most {
                            found.push(request);
                        }
                    }
                    Ok(())
                },
            )?;
            match ended {
                // One that came or went meanwhile is no matter.
                Ended::Complete | Ended::Interrupted | Ended::Refused(libc::ENOENT) => {}
                Ended::Refused(errno) => {
                    return Err(DiagError::refused("list of half-open requests", errno));
                }
            }
        }
        Ok((found, in_all))
    }

    /// All but listeners, by the port of this end and that of the other; 0 is every one. Each is handed out.
    pub fn ends(
        &mut self,
        ports: (u16, u16),
        to: &mut dyn FnMut(EndSnapshot),
    ) -> Result<(), DiagError> {
        self.each_end(
            |family, sequence| wire::ends_request(family, ports, sequence),
            to,
        )
    }

    /// Connections of this host's own that have no answer yet. Each is handed out.
    pub fn unanswered(&mut self, to: &mut dyn FnMut(EndSnapshot)) -> Result<(), DiagError> {
        self.each_end(wire::unanswered_request, to)
    }

    fn each_end(
        &mut self,
        request: impl Fn(u8, u32) -> Vec<u8>,
        to: &mut dyn FnMut(EndSnapshot),
    ) -> Result<(), DiagError> {
        for family in [wire::AF_INET, wire::AF_INET6] {
            let ended =
                self.channel
                    .ask(|sequence| request(family, sequence), &mut |payload, _| {
                        to(snapshot::end(payload)?);
                        Ok(())
                    })?;
            match ended {
                // One that came or went meanwhile is no matter.
                Ended::Complete | Ended::Interrupted | Ended::Refused(libc::ENOENT) => {}
                Ended::Refused(errno) => {
                    return Err(DiagError::refused("list of connections", errno));
                }
            }
        }
        Ok(())
    }

    /// Listeners with IP_TRANSPARENT, which may take connections of addresses and ports that are not theirs.
    pub fn transparent(&mut self) -> Result<Vec<ListenerSnapshot>, DiagError> {
        let mut found = Vec::new();
        for family in [wire::AF_INET, wire::AF_INET6] {
            let ended = self.channel.ask(
                |sequence| wire::listen_request(family, None, sequence),
                &mut |payload, taken_mono_ns| {
                    found.extend(snapshot::transparent(payload, taken_mono_ns)?);
                    Ok(())
                },
            )?;
            match ended {
                Ended::Complete | Ended::Interrupted | Ended::Refused(libc::ENOENT) => {}
                Ended::Refused(errno) => {
                    return Err(DiagError::refused("list of listeners", errno));
                }
            }
        }
        Ok(found)
    }

    /// The socket with exactly these ends; with a cookie, only that socket. `None` when there is none (any more).
    pub fn connection(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        cookie: Option<u64>,
    ) -> Result<Option<ConnectionSnapshot>, DiagError> {
        // The kernel finds a connection over IPv4 by its IPv4 addresses, also where the socket is an IPv6 one.
        let (local, remote) = (canonical(local), canonical(remote));
        if local.is_ipv4() != remote.is_ipv4() {
            return Err(DiagError::MixedFamilies { local, remote });
        }
        let mut found = None;
        let ended = self.channel.ask(
            |sequence| wire::exact_request(local, remote, cookie, sequence),
            &mut |payload, taken_mono_ns| {
                found = Some(snapshot::connection(payload, taken_mono_ns)?);
                Ok(())
            },
        )?;
        // The kernel's lookup falls back to a listener on the local address when the connection is gone
        // (net/ipv4/inet_diag.c:inet_diag_find_one_icsk → inet_lookup; seen on 6.18).
        let connection = found.filter(|snapshot| snapshot.state != "LISTEN");
        match ended {
            Ended::Complete | Ended::Interrupted => Ok(connection),
            Ended::Refused(libc::ENOENT) => Ok(None),
            Ended::Refused(errno) => Err(DiagError::refused("exact lookup", errno)),
        }
    }

    /// Whether an answer may still be under way after an error, so that this socket should be replaced.
    pub fn is_spoiled(&self) -> bool {
        self.channel.is_spoiled()
    }

    fn dump(&mut self, family: u8, port: Option<u16>) -> Result<Vec<ListenerSnapshot>, DiagError> {
        for _ in 0..DUMP_TRIES {
            let mut found = Vec::new();
            let ended = self.channel.ask(
                |sequence| wire::listen_request(family, port, sequence),
                &mut |payload, taken_mono_ns| {
                    found.extend(snapshot::listener(payload, taken_mono_ns)?);
                    Ok(())
                },
            )?;
            match ended {
                Ended::Complete => return Ok(found),
                Ended::Interrupted => {}
                Ended::Refused(libc::ENOENT) => return Err(DiagError::NoModule),
                Ended::Refused(errno) => {
                    return Err(DiagError::refused("list of listeners", errno));
                }
            }
        }
        Err(DiagError::Interrupted { tries: DUMP_TRIES })
    }
}

/// `::ffff:10.0.0.1` as `10.0.0.1`. Other addresses stay as they are, with their scope.
fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, addr.port()),
        IpAddr::V6(_) => addr,
    }
}

#[cfg(test)]
mod answer_tests;
