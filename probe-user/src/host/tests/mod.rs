//! The room against the kernel it runs on: sockets in private namespaces, compared with what getsockopt(2) says.
//!
//! Needs CAP_SYS_ADMIN for the namespaces; without it each test says SKIPPED and passes.

mod namespaces;
mod owners;
mod sockets;

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseport, socket_cookie};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with};

use crate::host::cgroup::{self, Cgroups};
use crate::host::clock::mono_ns;
use crate::host::diag::{Diag, DiagPool, IDLE};
use crate::host::netns::{self, NetnsError, Private, Registry};
use crate::host::netstat;
use crate::host::open_files::OpenFiles;
use crate::{host::owner::Owners, model::netns_name::NetnsName};

fn private() -> Option<Private> {
    match Private::new() {
        Ok(private) => Some(private),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            eprintln!("SKIPPED: no private network namespace without CAP_SYS_ADMIN");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn listener(addr: SocketAddr, v6only: bool, reuseport: bool, limit: i32) -> OwnedFd {
    let family = if addr.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    if addr.is_ipv6() {
        set_ipv6_v6only(&socket, v6only).unwrap();
    }
    set_socket_reuseport(&socket, reuseport).unwrap();
    bind(&socket, &addr).unwrap();
    listen(&socket, limit).unwrap();
    socket
}

fn inode_of(fd: impl AsFd) -> u32 {
    rustix::fs::fstat(fd).unwrap().st_ino as u32
}

fn v4(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn v6(port: u16) -> SocketAddr {
    (Ipv6Addr::LOCALHOST, port).into()
}

/// Connections that are started and left to the kernel.
fn clients(to: SocketAddr, count: usize) -> Vec<OwnedFd> {
    let family = if to.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let one = |_| {
        let socket = socket_with(
            family,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        let _ = connect(&socket, &to);
        socket
    };
    (0..count).map(one).collect()
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
