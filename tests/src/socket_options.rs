//! Socket options that rustix does not have, by setsockopt(2).

use std::io::Error;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result};

use crate::sockaddr;

/// include/uapi/linux/tcp.h:struct tcp_md5sig.
#[repr(C)]
struct Md5Signature {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix: u8,
    key_length: u16,
    interface: i32,
    key: [u8; 80],
}

/// Drops every packet at the socket, whatever it is.
pub fn drop_everything(socket: impl AsFd) -> Result<()> {
    attach_zero(socket, libc::SO_ATTACH_FILTER).context("SO_ATTACH_FILTER")
}

/// Closes a connection without telling its peer.
pub fn close_silently(socket: impl AsFd) -> Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option takes an int.
    unsafe { set(&socket, libc::IPPROTO_TCP, libc::TCP_REPAIR, &on) }.context("TCP_REPAIR")
}

/// Has the first member of the socket's SO_REUSEPORT group take everything.
pub fn prefer_first(socket: impl AsFd) -> Result<()> {
    attach_zero(socket, libc::SO_ATTACH_REUSEPORT_CBPF).context("SO_ATTACH_REUSEPORT_CBPF")
}

/// A program that returns 0.
fn attach_zero(socket: impl AsFd, option: libc::c_int) -> Result<(), Error> {
    let mut return_nothing = [libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    }];
    let program = libc::sock_fprog {
        len: 1,
        filter: return_nothing.as_mut_ptr(),
    };
    // SAFETY: both options take a sock_fprog, whose only pointer is to the one
    // instruction above, which outlives the call.
    unsafe { set(socket, libc::SOL_SOCKET, option, &program) }
}

/// Takes segments of this peer only with a TCP-MD5 signature by this key.
pub fn require_md5(socket: impl AsFd, peer: SocketAddr, key: &[u8; 16]) -> Result<(), Error> {
    let (address, _) = sockaddr::to_raw(peer);
    let mut signature = Md5Signature {
        address,
        flags: 0,
        prefix: 0,
        key_length: key.len() as u16,
        interface: 0,
        key: [0; 80],
    };
    signature.key[..key.len()].copy_from_slice(key);
    // SAFETY: TCP_MD5SIG takes this structure, which has no pointers.
    unsafe { set(socket, libc::IPPROTO_TCP, libc::TCP_MD5SIG, &signature) }
}

/// TCP_FASTOPEN, with room for so many connections that are not complete yet.
pub fn fast_open(socket: impl AsFd, queue_limit: i32) -> Result<()> {
    set_int(socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, queue_limit).context("TCP_FASTOPEN")
}

pub fn defer_accept(socket: impl AsFd, seconds: i32) -> Result<()> {
    let option = libc::TCP_DEFER_ACCEPT;
    set_int(socket, libc::IPPROTO_TCP, option, seconds).context("TCP_DEFER_ACCEPT")
}

/// Takes IPv4 packets only with a TTL that is not below this.
pub fn min_ttl(socket: impl AsFd, hops: u8) -> Result<()> {
    set_int(socket, libc::IPPROTO_IP, libc::IP_MINTTL, hops.into()).context("IP_MINTTL")
}

/// Takes IPv6 packets only with a hop count that is not below this.
pub fn min_hop_count(socket: impl AsFd, hops: u8) -> Result<()> {
    /// include/uapi/linux/in6.h, not in libc.
    const IPV6_MINHOPCOUNT: libc::c_int = 73;
    set_int(socket, libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT, hops.into()).context("IPV6_MINHOPCOUNT")
}

pub fn bind_to_device(socket: impl AsFd, device: &str) -> Result<()> {
    let name = device.as_bytes();
    // SAFETY: the name is alive for the call and its length is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            name.as_ptr().cast(),
            name.len() as libc::socklen_t,
        )
    };
    check(result).with_context(|| format!("SO_BINDTODEVICE {device}"))
}

fn set_int(socket: impl AsFd, level: i32, name: i32, value: libc::c_int) -> Result<(), Error> {
    // SAFETY: every caller names an option that takes an int.
    unsafe { set(socket, level, name, &value) }
}

/// # Safety
///
/// `T` must be what the option takes, with valid pointers where it has some.
unsafe fn set<T>(socket: impl AsFd, level: i32, name: i32, value: &T) -> Result<(), Error> {
    // SAFETY: the value is alive for the call and its size is given; what it
    // points to is the caller's promise.
    check(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    })
}

fn check(result: libc::c_int) -> Result<(), Error> {
    if result == 0 {
        return Ok(());
    }
    Err(Error::last_os_error())
}
