//! Closes a socket from outside by sock_diag(7), as `ss --kill` does
//! (include/uapi/linux/inet_diag.h:struct inet_diag_req_v2).

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::netlink::SOCK_DIAG;

use crate::netlink::{self, ACKNOWLEDGE, message};

const SOCK_DESTROY: u16 = 21;
const ALL_STATES: u32 = u32::MAX;

/// Of a listener in the namespace of the calling thread. False if the kernel was
/// built without CONFIG_INET_DIAG_DESTROY.
pub fn destroy_listener(address: SocketAddr, cookie: u64) -> Result<bool> {
    let request = exact(address, cookie, 0);
    match netlink::ask(
        SOCK_DIAG,
        &[message(SOCK_DESTROY, ACKNOWLEDGE, &[&request])],
    ) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("SOCK_DESTROY of {address}")),
    }
}

/// `struct inet_diag_req_v2` of the listener with this cookie, and what is wanted of it.
pub fn exact(address: SocketAddr, cookie: u64, extensions: u8) -> Vec<u8> {
    let family = match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    let mut ip = [0; 16];
    match address.ip() {
        IpAddr::V4(v4) => ip[..4].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => ip = v6.octets(),
    }
    let mut request = vec![family as u8, libc::IPPROTO_TCP as u8, extensions, 0];
    request.extend(ALL_STATES.to_ne_bytes());
    request.extend(address.port().to_be_bytes());
    request.extend([0; 2]); // remote port
    request.extend(ip);
    request.extend([0; 16 + 4]); // remote address, interface
    request.extend((cookie as u32).to_ne_bytes());
    request.extend(((cookie >> 32) as u32).to_ne_bytes());
    request
}
