//! A network namespace of our own, for the self-test, the demo and tests.
//!
//! In: nothing but the privilege (CAP_SYS_ADMIN). Out: a namespace with `lo` up, that ends with the value (and the sockets made in it).
//! It never touches the namespace whydrop runs in: a sysctl outside `net/` is refused.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::resume_unwind;
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::net::{AddressFamily, SocketType};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::{current, inum_of_fd};

/// A network namespace of its own, with loopback up, on a thread of its own.
#[derive(Debug)]
pub struct Private {
    ns: OwnedFd,
    inum: u32,
}

impl Private {
    /// Makes one.
    ///
    /// # Errors
    /// The kernel refuses: without CAP_SYS_ADMIN, for example.
    pub fn new() -> io::Result<Private> {
        let made = thread::Builder::new().name("netns-new".into()).spawn(|| {
            // SAFETY: only CLONE_NEWNET is unshared; the table of descriptors stays the one of the whole process.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
            loopback_up()?;
            io::Result::Ok(open(
                c"/proc/thread-self/ns/net",
                OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )?)
        })?;
        let ns = made
            .join()
            .map_err(|_| io::Error::other("the thread that makes the namespace panicked"))??;
        let inum = inum_of_fd(ns.as_fd())?;
        Ok(Private { ns, inum })
    }

    /// Its inode number.
    pub fn inum(&self) -> u32 {
        self.inum
    }

    /// Runs `f` in the namespace; sockets made by `f` stay in it.
    pub fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> io::Result<T> {
        if current()? == self.inum {
            return Ok(f());
        }
        // In a namespace of ours nothing of others' holds anybody up, so `f` may borrow.
        thread::scope(|scope| {
            let entered =
                thread::Builder::new()
                    .name("netns".into())
                    .spawn_scoped(scope, || {
                        let network = Some(LinkNameSpaceType::Network);
                        move_into_link_name_space(self.ns.as_fd(), network)?;
                        Ok(f())
                    })?;
            entered.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Sets a sysctl of this namespace, such as `net.ipv4.tcp_syncookies` or `net/ipv4/tcp_syncookies`.
    pub fn sysctl(&self, path: &str, value: &str) -> io::Result<()> {
        let path = if path.contains('/') {
            path.to_owned()
        } else {
            path.replace('.', "/")
        };
        if !path.starts_with("net/") || path.split('/').any(|part| part == "..") {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{path} is not a sysctl of a network namespace"),
            ));
        }
        let file = format!("/proc/sys/{path}");
        // /proc/sys/net shows the namespace of the calling thread (seen on 6.18).
        self.inside(|| fs::write(&file, value))?
            .map_err(|error| io::Error::new(error.kind(), format!("{file}: {error}")))
    }
}

impl AsFd for Private {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ns.as_fd()
    }
}

/// Sets IFF_UP on `lo` of the calling thread's namespace.
fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: an ifreq of zeroes is valid: an empty name and no flags.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags =
        (libc::IFF_UP | libc::IFF_RUNNING | libc::IFF_LOOPBACK) as libc::c_short;
    // SAFETY: the descriptor is an open socket and the request an initialised ifreq that outlives the call, which only reads it.
    let failed =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) } != 0;
    if failed {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
