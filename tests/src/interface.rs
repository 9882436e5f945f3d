//! Network devices by ioctl(2), in the namespace of the calling thread: up,
//! IPv4 and IPv6 addresses, and a new TUN device.

use std::fs::{File, OpenOptions};
use std::io::Error;
use std::mem::zeroed;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::deadline::{soon, wait_until};
use crate::sockaddr;

const TUN_DEVICE: &str = "/dev/net/tun";

pub fn set_up(name: &str) -> Result<()> {
    let socket = control_socket(AddressFamily::INET)?;
    let mut request = request_for(name);
    control(
        socket.as_fd(),
        libc::SIOCGIFFLAGS,
        &raw mut request,
        "SIOCGIFFLAGS",
    )?;
    // SAFETY: SIOCGIFFLAGS has just written this field of the union.
    unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as i16 };
    control(
        socket.as_fd(),
        libc::SIOCSIFFLAGS,
        &raw mut request,
        "SIOCSIFFLAGS",
    )
}

pub fn add_ipv4(name: &str, address: Ipv4Addr, mask: Ipv4Addr) -> Result<()> {
    let socket = control_socket(AddressFamily::INET)?;
    for (code, what, value) in [
        (libc::SIOCSIFADDR, "SIOCSIFADDR", address),
        (libc::SIOCSIFNETMASK, "SIOCSIFNETMASK", mask),
    ] {
        let (raw, _) = sockaddr::to_raw(SocketAddr::new(value.into(), 0));
        let mut request = request_for(name);
        // SAFETY: the storage holds an initialised sockaddr_in, which has the
        // size of a sockaddr.
        request.ifr_ifru.ifru_addr = unsafe { (&raw const raw).cast::<libc::sockaddr>().read() };
        control(socket.as_fd(), code, &raw mut request, what)?;
    }
    Ok(())
}

/// Returns when the address can be bound to: even without duplicate address
/// detection, which TUN does not do, the kernel makes it usable a little later
/// (net/ipv6/addrconf.c:addrconf_dad_work).
pub fn add_ipv6(name: &str, address: Ipv6Addr, prefix: u32) -> Result<()> {
    let socket = control_socket(AddressFamily::INET6)?;
    let mut request = request_for(name);
    control(
        socket.as_fd(),
        libc::SIOCGIFINDEX,
        &raw mut request,
        "SIOCGIFINDEX",
    )?;
    let mut request = libc::in6_ifreq {
        ifr6_addr: libc::in6_addr {
            s6_addr: address.octets(),
        },
        ifr6_prefixlen: prefix,
        // SAFETY: SIOCGIFINDEX has just written this field of the union.
        ifr6_ifindex: unsafe { request.ifr_ifru.ifru_ifindex },
    };
    control(
        socket.as_fd(),
        libc::SIOCSIFADDR,
        &raw mut request,
        "SIOCSIFADDR for IPv6",
    )?;
    wait_until("the IPv6 address to become usable", soon(), || {
        is_usable(address)
    })
}

/// A line of if_inet6 is: address, index, prefix, scope, flags, name.
fn is_usable(address: Ipv6Addr) -> Result<bool> {
    const TENTATIVE: u32 = 0x40;
    let wanted = format!("{:032x}", u128::from(address));
    let lines = std::fs::read_to_string("/proc/thread-self/net/if_inet6")?;
    let line = lines.lines().find_map(|line| line.strip_prefix(&wanted));
    let flags = line.and_then(|line| line.split_whitespace().nth(3));
    Ok(flags
        .and_then(|flags| u32::from_str_radix(flags, 16).ok())
        .is_some_and(|flags| flags & TENTATIVE == 0))
}

/// A new TUN device; it lives as long as the returned file. Reads do not block.
pub fn create_tun(name: &str) -> Result<File> {
    ensure!(
        Path::new(TUN_DEVICE).exists(),
        "{TUN_DEVICE} is missing: handshakes are injected through it; load the kernel module tun"
    );
    let tun = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(TUN_DEVICE)
        .with_context(|| format!("open {TUN_DEVICE}"))?;
    let mut request = request_for(name);
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    control(tun.as_fd(), libc::TUNSETIFF, &raw mut request, "TUNSETIFF")?;
    Ok(tun)
}

fn control_socket(family: AddressFamily) -> Result<OwnedFd> {
    Ok(socket_with(
        family,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

fn request_for(name: &str) -> libc::ifreq {
    // SAFETY: ifreq is plain integers and a pointer; all zero is a valid value.
    let mut request: libc::ifreq = unsafe { zeroed() };
    assert!(
        name.len() < request.ifr_name.len(),
        "{name} is too long for a device"
    );
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

fn control<T>(fd: BorrowedFd<'_>, code: libc::Ioctl, request: *mut T, what: &str) -> Result<()> {
    // SAFETY: every caller passes the structure that this code takes, alive and
    // writable for the call.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), code, request) };
    ensure!(result >= 0, "{what}: {}", Error::last_os_error());
    Ok(())
}
