//! Listeners of scenes, and the socket options that rustix does not have.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, listen as begin, socket_with, sockopt,
};

/// Where servers listen. The port is not the one of another demo (a listener on the same port in another namespace
/// would be one that clients may have looked for), nor one that the kernel gives to clients.
pub(super) fn place() -> SocketAddr {
    let port = 20_000 + (std::process::id() % 10_000) as u16;
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A client of a listener with TCP_DEFER_ACCEPT may be silent for so long.
const SILENCE_SECONDS: i32 = 10;

/// What differs from a listener at [`place`] without any option.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    /// SO_REUSEPORT.
    pub group: Option<Spread>,
    /// TCP_DEFER_ACCEPT: a connection stays in the SYN queue until the client has said something.
    pub defer: bool,
}

/// How a SO_REUSEPORT group shares clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// By the kernel's hash.
    Hash,
    /// The one that was first takes all.
    First,
}

pub(super) fn listen(backlog: i32) -> io::Result<OwnedFd> {
    listen_with(backlog, Options::default())
}

pub(super) fn listen_with(backlog: i32, options: Options) -> io::Result<OwnedFd> {
    let socket = tcp()?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if options.defer {
        let (level, option) = (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT);
        // SAFETY: TCP_DEFER_ACCEPT takes an int.
        unsafe { set(&socket, level, option, &SILENCE_SECONDS) }?;
    }
    sockopt::set_socket_reuseport(&socket, options.group.is_some())?;
    bind(&socket, &place())?;
    begin(&socket, backlog)?;
    if options.group == Some(Spread::First) {
        // Returns 0: the number in the group.
        attach_zero(&socket, libc::SO_ATTACH_REUSEPORT_CBPF)?;
    }
    Ok(socket)
}

/// A listener that the kernel finds for what comes to this port, and that takes nothing and answers nothing.
pub(super) fn mute(port: u16) -> io::Result<OwnedFd> {
    let socket = tcp()?;
    // Returns 0: the bytes to keep of a packet.
    attach_zero(&socket, libc::SO_ATTACH_FILTER)?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
    begin(&socket, 1)?;
    Ok(socket)
}

fn tcp() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

/// Attaches the classic BPF program that returns 0.
fn attach_zero(socket: impl AsFd, option: libc::c_int) -> io::Result<()> {
    let mut zero = [libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    }];
    let program = libc::sock_fprog {
        len: 1,
        filter: zero.as_mut_ptr(),
    };
    // SAFETY: both options take a sock_fprog, whose only pointer is to the instruction above, which outlives the call.
    unsafe { set(socket, libc::SOL_SOCKET, option, &program) }
}

/// # Safety
/// The value is of the type that the option takes, and what it points to outlives the call.
unsafe fn set<T>(socket: impl AsFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    // SAFETY: the value and its length are valid for the call, which only reads them; the rest is the caller's promise.
    let failed = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    } != 0;
    if failed {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
