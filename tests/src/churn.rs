//! What comes and goes on a host: listeners that refuse somebody, and namespaces, in that of the calling thread and for its time
//! alone. Nothing of it leaves loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use anyhow::{Context, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::client::{Client, connect_here};
use crate::interface;

/// A listener of the calling thread's namespace that has no room.
pub struct Refuser {
    listener: TcpListener,
    at: SocketAddr,
    /// Who is in its accept queue.
    _queued: Client,
}

impl Refuser {
    /// On a free port.
    pub fn here() -> Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        // A limit of 0 holds one.
        listen(&socket, 0)?;
        let listener = TcpListener::from(socket);
        let at = listener.local_addr()?;
        let queued = connect_here(at)?;
        Ok(Self {
            listener,
            at,
            _queued: queued,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// So many clients come and are refused.
    pub fn refuse(&self, times: usize) -> Result<()> {
        (0..times).try_for_each(|_| connect_here(self.at).map(drop))
    }

    /// Whoever waits is accepted and sent away: there is room.
    pub fn empty(&self) {
        while self.listener.accept().is_ok() {}
    }
}

/// In a namespace that is made for this, on a thread of its own, and ends with it unless somebody keeps it.
pub fn in_new_netns<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            // SAFETY: only the network of this thread changes, which is no other's.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.context("a new namespace")?;
            interface::set_up("lo")?;
            work()
        });
        inside
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
