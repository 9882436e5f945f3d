//! Listeners inside a namespace, made by hand since listen(2)'s backlog and the
//! options before bind(2) are what the tests are about.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use crate::netns::Netns;

pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    cookie: u64,
}

/// What differs from a plain listener on a free port.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// 0 is any free one.
    pub port: u16,
    pub listen_backlog: i32,
    pub reuse_port: bool,
    pub defer_accept: bool,
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
        let cookie = match options.no_cookie {
            true => 0,
            false => sockopt::socket_cookie(&socket)?,
        };
        Ok(Self {
            socket,
            address,
            cookie,
        })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
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

    /// listen(2) again: a new limit, no new state.
    pub fn listen_again(&self, listen_backlog: i32) -> Result<()> {
        Ok(listen(&self.socket, listen_backlog)?)
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

fn open(address: SocketAddr, options: Options) -> Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, options.reuse_port)?;
    if options.defer_accept {
        defer_accept(&socket)?;
    }
    bind(&socket, &address).with_context(|| format!("bind to {address}"))?;
    listen(&socket, options.listen_backlog).with_context(|| format!("listen on {address}"))?;
    Ok(socket)
}

fn defer_accept(socket: &OwnedFd) -> Result<()> {
    let seconds: libc::c_int = 30;
    // SAFETY: the value is an int, alive for the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of_val(&seconds) as libc::socklen_t,
        )
    };
    ensure!(result == 0, "TCP_DEFER_ACCEPT: {}", Error::last_os_error());
    Ok(())
}
