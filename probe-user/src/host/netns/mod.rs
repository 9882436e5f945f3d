//! Network namespaces, by the inode number the kernel knows them by (`net.ns.inum`).
//!
//! In: an inode number, a process, a name. Out: a number, or a descriptor that leads in, or the answer of a function run inside.
//! It never keeps a descriptor of a namespace it found: that would keep a namespace alive after its last process has ended.

mod entering;
mod error;
mod opening;
mod private;
mod registry;
mod scan;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{fstat, stat};

pub use entering::{inside, inside_within};
pub use error::NetnsError;
pub use private::Private;
pub use registry::Registry;
pub(in crate::host) use scan::{held_at, of_threads};

/// The namespace of the calling thread, which is that of the process unless [`inside`] put it elsewhere.
pub fn current() -> io::Result<u32> {
    Ok(as_inum(stat(c"/proc/thread-self/ns/net")?.st_ino))
}

/// The namespace of a process (of its main thread). Needs ptrace access to it, as `ls -l /proc/<pid>/ns` does.
pub fn inum_of_pid(pid: u32) -> io::Result<u32> {
    Ok(as_inum(stat(format!("/proc/{pid}/ns/net"))?.st_ino))
}

/// The namespace behind a descriptor of one.
pub fn inum_of_fd(ns: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(as_inum(fstat(ns)?.st_ino))
}

/// The net cookie of the namespace that a socket was made in, which the kernel gives to no other one until it is booted
/// again, as it does with numbers; `None` before 5.14 (`SO_NETNS_COOKIE`).
pub fn cookie_of(socket: BorrowedFd<'_>) -> Option<u64> {
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and both pointers are to values of this stack, the second of the size of the first.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    } != 0;
    (!failed).then_some(cookie)
}

/// Namespace numbers are 32 bits wide in the kernel (include/linux/ns_common.h: `unsigned int inum`).
fn as_inum(st_ino: u64) -> u32 {
    st_ino as u32
}
