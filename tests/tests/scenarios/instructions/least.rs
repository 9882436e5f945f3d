//! The least that a tracer can do about one refusal, if its line is to say how long the queue was and who has the listener:
//! it is woken, asks sock_diag for that listener, looks whether its process still has it, and writes a line. It knows all
//! that before, reads no ring, counts nothing and formats nothing.

use std::fs::File;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::netlink::SOCK_DIAG;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};
use whydrop_tests::listener::Listener;
use whydrop_tests::netlink::{REQUEST, message};
use whydrop_tests::netns::Netns;
use whydrop_tests::sock_destroy::exact;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// INET_DIAG_SKMEMINFO, which has the drops, of include/uapi/linux/inet_diag.h.
const DROPS: u8 = 1 << 6;
/// As long as one of whydrop's.
const LINE: [u8; 160] = [b'.'; 160];
const PIPE_BYTES: usize = 4 << 20;

pub(super) struct Least {
    wake: Option<File>,
    lines: PipeReader,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Least {
    pub(super) fn start(netns: &Netns, listener: &Listener) -> Result<Self> {
        let family = AddressFamily::NETLINK;
        let flags = SocketFlags::CLOEXEC;
        let diag = netns.run(|| socket_with(family, SocketType::RAW, flags, Some(SOCK_DIAG)))??;
        let (lines, to) = pipe()?;
        rustix::pipe::fcntl_setpipe_size(&lines, PIPE_BYTES)?;
        fcntl_setfl(&lines, fcntl_getfl(&lines)? | OFlags::NONBLOCK)?;
        let wake = File::from(eventfd(0, EventfdFlags::CLOEXEC)?);
        let woken = wake.try_clone()?;
        let (address, cookie) = (listener.address(), listener.cookie());
        let held = listener.duplicate()?;
        let thread = std::thread::spawn(move || tell(&woken, &diag, (address, cookie), &held, to));
        Ok(Self {
            wake: Some(wake),
            lines,
            thread: Some(thread),
        })
    }

    pub(super) fn wake(&self) -> Result<()> {
        let mut wake = self.wake.as_ref().context("it has ended")?;
        Ok(wake.write_all(&1_u64.to_ne_bytes())?)
    }

    /// Since the last time.
    pub(super) fn lines(&mut self) -> Result<usize> {
        let mut text = Vec::new();
        match self.lines.read_to_end(&mut text) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error.into()),
            _ => Ok(text.len() / LINE.len()),
        }
    }
}

impl Drop for Least {
    fn drop(&mut self) {
        // One that is told of so many has no more to tell.
        if let Some(mut wake) = self.wake.take() {
            let _ = wake.write_all(&END.to_ne_bytes());
        }
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

const END: u64 = 1 << 32;

fn tell(
    mut woken: &File,
    diag: &OwnedFd,
    (address, cookie): (SocketAddr, u64),
    held: &OwnedFd,
    mut to: PipeWriter,
) -> Result<()> {
    let request = exact(address, cookie, DROPS);
    let request = message(SOCK_DIAG_BY_FAMILY, REQUEST, &[&request]);
    let link = format!("/proc/self/fd/{}", held.as_raw_fd());
    let (mut times, mut answer, mut name) = ([0; 8], [0; 4096], [0; 32]);
    loop {
        woken.read_exact(&mut times)?;
        if u64::from_ne_bytes(times) >= END {
            return Ok(());
        }
        send(diag, &request, SendFlags::empty())?;
        let (length, _) = recv(diag, &mut answer, RecvFlags::empty())?;
        ensure!(length > 100, "no answer about the listener");
        rustix::fs::readlinkat_raw(rustix::fs::CWD, &link, &mut name)?;
        to.write_all(&LINE)?;
    }
}
