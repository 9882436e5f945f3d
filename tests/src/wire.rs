//! A cable whose other end is the test: a TUN device in a namespace of its own.
//! Segments written here reach the kernel's TCP before the write returns
//! (drivers/net/tun.c:tun_get_user calls netif_receive_skb, 5.10 to 7.2), and
//! what the kernel answers is read with a deadline.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};

use crate::deadline;
use crate::family::{Family, LOCAL_V4, LOCAL_V6};
use crate::interface;
use crate::netns::Netns;
use crate::ping;
use crate::segment::Segment;

const DEVICE: &str = "wire0";

pub struct Wire {
    netns: Netns,
    tun: File,
    /// Read from the device, not yet asked for.
    unread: RefCell<VecDeque<Segment>>,
    peers: Cell<u16>,
    pings: Cell<u16>,
}

impl Wire {
    /// A new namespace with a wire in it.
    pub fn new() -> Result<Self> {
        Self::in_netns(Netns::new()?)
    }

    pub fn in_netns(netns: Netns) -> Result<Self> {
        let tun = netns.run(|| -> Result<File> {
            let tun = interface::create_tun(DEVICE)?;
            interface::set_up(DEVICE)?;
            interface::add_ipv4(DEVICE, LOCAL_V4, Ipv4Addr::new(255, 255, 0, 0))?;
            interface::add_ipv6(DEVICE, LOCAL_V6, 64)?;
            Ok(tun)
        })??;
        Ok(Self {
            netns,
            tun,
            unread: RefCell::default(),
            peers: Cell::new(0),
            pings: Cell::new(0),
        })
    }

    /// Another way in, for whoever sends from a thread of its own.
    pub fn inlet(&self) -> Result<File> {
        self.tun.try_clone().context("duplicate the TUN device")
    }

    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Takes the wire away and leaves the namespace.
    pub fn into_netns(self) -> Netns {
        self.netns
    }

    /// Which of the clients of a family comes next.
    pub(crate) fn next_client(&self) -> u16 {
        let number = self.peers.get() % Family::CLIENTS + 1;
        self.peers.set(number);
        number
    }

    pub fn send(&self, segment: &Segment) -> Result<()> {
        self.write(&segment.encode())
    }

    /// Any IP packet.
    pub fn write(&self, packet: &[u8]) -> Result<()> {
        (&self.tun)
            .write_all(packet)
            .context("write to the TUN device")
    }

    /// The next segment of the kernel that fits; those that do not are kept for
    /// whoever asks for them.
    pub fn expect(&self, what: &str, fits: impl Fn(&Segment) -> bool) -> Result<Segment> {
        let limit = deadline::soon();
        self.expect_within(what, limit, fits)
    }

    pub fn expect_within(
        &self,
        what: &str,
        limit: Duration,
        fits: impl Fn(&Segment) -> bool,
    ) -> Result<Segment> {
        let end = Instant::now() + limit;
        loop {
            if let Some(segment) = self.take(&fits) {
                return Ok(segment);
            }
            let Some(packet) = self.read(end)? else {
                bail!(
                    "no {what} within {limit:?}; unread: {:?}",
                    self.unread.borrow()
                );
            };
            self.unread.borrow_mut().extend(Segment::decode(&packet));
        }
    }

    /// A segment that has come already, if there is one that fits.
    pub fn already(&self, fits: impl Fn(&Segment) -> bool) -> Result<Option<Segment>> {
        self.barrier()?;
        Ok(self.take(&fits))
    }

    /// Returns when the kernel has answered everything that was sent so far.
    pub fn barrier(&self) -> Result<()> {
        let number = self.pings.get().wrapping_add(1);
        self.pings.set(number);
        self.write(&ping::request(number))?;
        let end = Instant::now() + deadline::soon();
        while let Some(packet) = self.read(end)? {
            if ping::is_reply(&packet, number) {
                return Ok(());
            }
            self.unread.borrow_mut().extend(Segment::decode(&packet));
        }
        bail!("the kernel does not answer on the wire")
    }

    /// For a test that lets the kernel talk without listening to all of it.
    pub fn forget_unread(&self) {
        self.unread.borrow_mut().clear();
    }

    /// Reads what has come and forgets it: the kernel answers nothing while its queue to us is full.
    pub fn empty(&self) -> Result<()> {
        while self.read(Instant::now())?.is_some() {}
        self.forget_unread();
        Ok(())
    }

    fn take(&self, fits: &impl Fn(&Segment) -> bool) -> Option<Segment> {
        let mut unread = self.unread.borrow_mut();
        let at = unread.iter().position(fits)?;
        unread.remove(at)
    }

    /// One packet, or `None` at the deadline.
    fn read(&self, end: Instant) -> Result<Option<Vec<u8>>> {
        let mut packet = vec![0; 2048];
        loop {
            match (&self.tun).read(&mut packet) {
                Ok(length) => {
                    packet.truncate(length);
                    return Ok(Some(packet));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("read from the TUN device"),
            }
            let mut readable = [PollFd::from_borrowed_fd(self.tun.as_fd(), PollFlags::IN)];
            if poll(&mut readable, Some(&deadline::left_until(end)))? == 0 {
                return Ok(None);
            }
        }
    }
}
