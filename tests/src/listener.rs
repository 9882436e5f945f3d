//! Listeners inside a namespace, made by hand since listen(2)'s backlog and the
//! options before bind(2) are what the tests are about.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::net::ipproto;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with, sockopt,
};

use crate::deadline::{soon, wait_until};
use crate::netns::Netns;
use crate::sock_destroy::destroy_listener;
use crate::socket_options;

pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    cookie: u64,
    mptcp: bool,
}

/// What differs from a plain listener on a free port.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// 0 is any free one.
    pub port: u16,
    pub listen_backlog: i32,
    pub reuse_port: bool,
    pub defer_accept: bool,
    /// An IPv6 one that takes no IPv4.
    pub v6_only: bool,
    /// Takes only what comes in through this device.
    pub device: Option<&'static str>,
    /// TCP_FASTOPEN, with room for so many.
    pub fast_open: Option<i32>,
    /// An MPTCP socket, which also takes plain TCP.
    pub mptcp: bool,
    /// Nobody asks for its cookie, as nobody asks for that of an ordinary
    /// listener: the kernel gives a socket one when it is first asked for
    /// (net/core/sock_diag.c:__sock_gen_cookie, 5.10 to 7.2).
    pub no_cookie: bool,
}

impl Listener {
    /// On a free port, with this listen(2) backlog; an IPv6 one is dual-stack.
    pub fn new(netns: &Netns, address: IpAddr, listen_backlog: i32) -> Result<Self> {
        Self::with(
            netns,
            address,
            Options {
                listen_backlog,
                ..Options::default()
            },
        )
    }

    pub fn with(netns: &Netns, address: IpAddr, options: Options) -> Result<Self> {
        let socket = netns.run(|| open(SocketAddr::new(address, options.port), options))??;
        let socket = TcpListener::from(socket);
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let cookie = if options.no_cookie {
            0
        } else {
            sockopt::socket_cookie(&socket)?
        };
        Ok(Self {
            socket,
            address,
            cookie,
            mptcp: options.mptcp,
        })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Then its cookie is not that of the TCP socket inside, which is what the
    /// kernel's TCP works with.
    pub fn is_mptcp(&self) -> bool {
        self.mptcp
    }

    /// SO_COOKIE, the identity by which whydrop names the socket; 0 for one that
    /// was made without.
    pub fn cookie(&self) -> u64 {
        self.cookie
    }

    /// The number by which /proc names the socket.
    pub fn inode(&self) -> Result<u64> {
        Ok(rustix::fs::fstat(&self.socket)?.st_ino)
    }

    /// Another descriptor of the same socket.
    pub fn duplicate(&self) -> Result<OwnedFd> {
        Ok(self.socket.try_clone()?.into())
    }

    /// One connection from the accept queue, if there is one.
    pub fn accept(&self) -> Result<Option<TcpStream>> {
        match self.socket.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("accept"),
        }
    }

    /// The connection at the head of its accept queue, as soon as there is one.
    pub fn accept_soon(&self) -> Result<TcpStream> {
        let mut accepted = None;
        wait_until("a connection to accept", soon(), || {
            accepted = self.accept()?;
            Ok(accepted.is_some())
        })?;
        accepted.context("nothing accepted")
    }

    /// Returns when there are so many connections in its accept queue.
    pub fn wait_queued(&self, count: u32) -> Result<()> {
        wait_until("connections in the queue", soon(), || {
            Ok(self.queued()? == count)
        })
    }

    /// listen(2) again: a new limit, no new state.
    pub fn listen_again(&self, listen_backlog: i32) -> Result<()> {
        Ok(listen(&self.socket, listen_backlog)?)
    }

    /// Closes it over the head of whoever holds it (SOCK_DESTROY). False if the
    /// kernel was built without.
    pub fn destroy(&self, netns: &Netns) -> Result<bool> {
        netns.run(|| destroy_listener(self.address, self.cookie))?
    }

    /// From now on a socket filter drops every packet (SO_ATTACH_FILTER).
    pub fn drop_everything(&self) -> Result<()> {
        socket_options::drop_everything(&self.socket)
    }

    /// From now on the first member of its SO_REUSEPORT group takes everything.
    pub fn prefer_first(&self) -> Result<()> {
        socket_options::prefer_first(&self.socket)
    }

    /// From now on segments of this peer need a TCP-MD5 signature. False if
    /// the kernel was built without.
    pub fn require_md5(&self, peer: SocketAddr) -> Result<bool> {
        let peer = match (self.address, peer.ip()) {
            (SocketAddr::V6(_), IpAddr::V4(v4)) => {
                SocketAddr::new(v4.to_ipv6_mapped().into(), peer.port())
            }
            _ => peer,
        };
        match socket_options::require_md5(&self.socket, peer, b"a key of 16 byte") {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("TCP_MD5SIG for {peer}")),
        }
    }

    /// From now on packets that may have crossed too many routers are dropped.
    pub fn require_hops(&self, hops: u8) -> Result<()> {
        socket_options::min_ttl(&self.socket, hops)?;
        if self.address.is_ipv6() {
            socket_options::min_hop_count(&self.socket, hops)?;
        }
        Ok(())
    }

    /// `sk_ack_backlog`: connections in its accept queue (net/ipv4/tcp.c:tcp_get_info, 5.10 to 7.2).
    pub fn queued(&self) -> Result<u32> {
        const UNACKED: usize = 24;
        let mut info = [0_u8; 104];
        let mut length = size_of_val(&info) as libc::socklen_t;
        // SAFETY: the buffer and its length are valid for the call, and the
        // kernel writes at most that many bytes of plain integers.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        ensure!(result == 0, "TCP_INFO: {}", Error::last_os_error());
        let unacked = info.get(UNACKED..UNACKED + 4).context("too short")?;
        Ok(u32::from_ne_bytes(unacked.try_into()?))
    }

    /// The socket's own `sk_drops`, as `ss -m` shows it.
    pub fn drops(&self) -> Result<u32> {
        const SK_MEMINFO_DROPS: usize = 8;
        let mut meminfo = [0_u32; 9];
        let mut length = size_of_val(&meminfo) as libc::socklen_t;
        // SAFETY: the buffer and its length are valid for the call, and the
        // kernel writes at most that many bytes of plain integers.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                meminfo.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        ensure!(result == 0, "SO_MEMINFO: {}", Error::last_os_error());
        Ok(meminfo[SK_MEMINFO_DROPS])
    }
}

/// For messages.
pub const MPTCP: &str = "MPTCP (CONFIG_MPTCP)";
/// There since 5.6, but Debian's 5.10 is built without.
pub const MPTCP_SINCE: (u32, u32) = (6, 1);

/// Whether the kernel has MPTCP, and it is on in this namespace.
pub fn has_mptcp(netns: &Netns) -> Result<bool> {
    let made = netns.run(|| {
        let flags = SocketFlags::CLOEXEC;
        socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            flags,
            Some(ipproto::MPTCP),
        )
    })?;
    match made {
        Ok(_) => Ok(true),
        Err(Errno::PROTONOSUPPORT | Errno::NOPROTOOPT | Errno::INVAL) => Ok(false),
        Err(error) => Err(error).context("an MPTCP socket"),
    }
}

/// A port of this address on which nobody has ever listened, in a namespace
/// that is as new as those of the tests.
pub fn unused_port(netns: &Netns, address: IpAddr) -> Result<u16> {
    let socket = netns.run(|| bound(SocketAddr::new(address, 0), Options::default()))??;
    let address = SocketAddr::try_from(getsockname(&socket)?)?;
    Ok(address.port())
}

fn open(address: SocketAddr, options: Options) -> Result<OwnedFd> {
    let socket = bound(address, options)?;
    listen(&socket, options.listen_backlog).with_context(|| format!("listen on {address}"))?;
    Ok(socket)
}

fn bound(address: SocketAddr, options: Options) -> Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let protocol = options.mptcp.then_some(ipproto::MPTCP);
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, protocol)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, options.v6_only)?;
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, options.reuse_port)?;
    if options.defer_accept {
        socket_options::defer_accept(&socket, 30)?;
    }
    if let Some(queue_limit) = options.fast_open {
        socket_options::fast_open(&socket, queue_limit)?;
    }
    if let Some(device) = options.device {
        socket_options::bind_to_device(&socket, device)?;
    }
    bind(&socket, &address).with_context(|| format!("bind to {address}"))?;
    Ok(socket)
}
