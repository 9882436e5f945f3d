//! What the threads of a process wait for: the file or the peer behind a descriptor, who has a lock on it, who else sleeps on
//! a futex.
//!
//! In: processes as they were seen a moment ago. Out: [`Awaits`], of the threads of which that is known. What cannot be read,
//! or has changed meanwhile, is not told. Tables of the kernel are read once for all processes that are asked about.

use std::{
    collections::HashMap,
    fs::File,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::{
    procfs::{in_memory, number, read_small},
    task::socket,
};
use crate::model::{
    Awaits,
    process::{Process, Thread, accepts, waits_for_epoll, waits_for_files},
};

/// Threads of one process that are looked at.
const THREADS_AT_MOST: usize = 32;

/// So much of a table of the kernel is read: some thousand sockets. What stands behind it is not known.
const TABLE_BYTES: u64 = 1 << 20;

/// Where the DNS listens; the second one with TLS.
const DNS_PORT: u16 = 53;
const DNS_TLS_PORT: u16 = 853;

/// Who waits for more files than these is no client of somebody who resolves names.
const FILES_AT_MOST: usize = 16;

/// The first port that the kernel gives to a socket that asks for none (net/ipv4/af_inet.c:inet_init_net, 5.10 to 7.2).
const FIRST_OF_CLIENTS: u16 = 32768;

/// What is read for several processes.
#[derive(Default)]
pub struct Awaiting {
    locks: Option<Vec<u8>>,
    /// By network namespace.
    sockets: HashMap<u64, Sockets>,
}

/// By thread.
pub fn awaits(process: &Process, tables: &mut Awaiting) -> Vec<(u32, Awaits)> {
    let asleep = process.threads.iter().filter(|thread| is_asleep(thread));
    let is_in_epoll = |thread: &&Thread| thread.syscall.as_deref().is_some_and(waits_for_epoll);
    // Most of those in epoll_wait have nothing to do.
    let (last, first): (Vec<&Thread>, Vec<&Thread>) = asleep.partition(is_in_epoll);
    let asleep = first.into_iter().chain(last).take(THREADS_AT_MOST);
    asleep
        .filter_map(|thread| Some((thread.tid, of_thread(process, thread, tables)?)))
        .collect()
}

/// In something else than accept(2).
fn is_asleep(thread: &Thread) -> bool {
    matches!(thread.state, 'S' | 'D') && !thread.syscall.as_deref().is_none_or(accepts)
}

/// The files that it waits for at once.
fn files(pid: u32, thread: &Thread) -> Option<Vec<u32>> {
    let call = thread.syscall.as_deref()?;
    if waits_for_epoll(call) {
        let mut text = Vec::new();
        let path = format!("/proc/{pid}/fdinfo/{}", thread.fd?);
        read_small(rustix::fs::CWD, path, &mut text).ok()?;
        return Some(in_epoll(&text));
    }
    thread.polled.clone().filter(|_| waits_for_files(call))
}

/// `tfd:        5 events:       19 …` (fs/eventpoll.c:ep_show_fdinfo, 5.10 to 7.2).
fn in_epoll(fdinfo: &[u8]) -> Vec<u32> {
    let lines = fdinfo.split(|b| *b == b'\n');
    let numbers = lines.filter_map(|line| {
        let rest = line.strip_prefix(b"tfd:")?;
        let mut words = rest.split(u8::is_ascii_whitespace);
        number(words.find(|word| !word.is_empty())?)
    });
    numbers.collect()
}

fn of_thread(process: &Process, thread: &Thread, tables: &mut Awaiting) -> Option<Awaits> {
    if let Some(futex) = thread.futex {
        let same = |other: &&Thread| other.tid != thread.tid && other.futex == Some(futex);
        return Some(Awaits::Futex(process.threads.iter().filter(same).count()));
    }
    if let Some(inode) = thread.socket {
        return tables.peer(process.pid, inode);
    }
    if let Some(files) = files(process.pid, thread) {
        return tables.peers(process.pid, &files);
    }
    let link = format!("/proc/{}/fd/{}", process.pid, thread.fd?);
    let path = std::fs::read_link(&link).ok()?;
    // Pipes and the like have no path.
    if !path.is_absolute() {
        return None;
    }
    let path = path.to_string_lossy().into_owned();
    match thread.syscall.as_deref()? {
        "flock" | "fcntl" => {
            // Not by asking its file system: it may be what everybody waits for.
            let inode = in_memory(rustix::fs::CWD, &link).ok()?.stx_ino;
            let owner = tables.has_lock(process.pid, inode);
            let owner = owner.map(|owner| (owner, name(owner)));
            Some(Awaits::FileLock { path, owner })
        }
        _ => Some(Awaits::File(path)),
    }
}

fn name(pid: u32) -> String {
    let mut text = Vec::new();
    let read = read_small(rustix::fs::CWD, format!("/proc/{pid}/comm"), &mut text);
    match read {
        Ok(()) => String::from_utf8_lossy(&text).trim_end().to_owned(),
        Err(_) => "?".to_owned(),
    }
}

/// The sockets of a network namespace, as text.
struct Sockets {
    udp: Vec<u8>,
    tcp: Vec<u8>,
}

impl Awaiting {
    /// Who has the lock on this file that this process waits for.
    fn has_lock(&mut self, waits: u32, inode: u64) -> Option<u32> {
        let read = || table(&["/proc/locks".to_owned()]);
        owner(self.locks.get_or_insert_with(read), waits, inode)
    }

    /// The other end of a socket of this process.
    fn peer(&mut self, pid: u32, inode: u32) -> Option<Awaits> {
        let Sockets { udp, tcp } = self.of_namespace(pid)?;
        if let Some(to) = remote(udp, inode) {
            return (to.port() == DNS_PORT).then_some(Awaits::Dns(to));
        }
        remote(tcp, inode).map(Awaits::Peer)
    }

    /// Whom a process has asked that waits for these files at once; `None` where that may be nobody: a listener is among
    /// them, a connection that is not for names, or a UDP socket of a server.
    fn peers(&mut self, pid: u32, files: &[u32]) -> Option<Awaits> {
        if files.is_empty() || files.len() > FILES_AT_MOST {
            return None;
        }
        let Sockets { udp, tcp } = self.of_namespace(pid)?;
        let (mut clients, mut dns) = (0, None);
        for inode in files.iter().filter_map(|fd| socket(pid, *fd)) {
            if let Some((_, to)) = entry(tcp, inode) {
                let is_for_names = |to: &SocketAddr| [DNS_PORT, DNS_TLS_PORT].contains(&to.port());
                dns = Some(to.filter(is_for_names)?);
            } else if let Some((at, to)) = entry(udp, inode) {
                // Without a peer it may send to any; servers have a port that is known.
                let is_client = |at: SocketAddr| at.port() >= FIRST_OF_CLIENTS;
                if to.is_none() && !at.is_some_and(is_client) {
                    return None;
                }
                clients += 1;
                dns = dns.or(to.filter(|to| to.port() == DNS_PORT));
            }
        }
        // Beside one for names, a pipe or the like wakes it up.
        dns.map(Awaits::DnsAmong).or(match clients {
            0 => None,
            n if n == files.len() => Some(Awaits::Peers(n)),
            n => Some(Awaits::PeersAmong(n)),
        })
    }

    fn of_namespace(&mut self, pid: u32) -> Option<&Sockets> {
        let netns = std::fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino();
        let both = |name: &str| table(&["", "6"].map(|v| format!("/proc/{pid}/net/{name}{v}")));
        let sockets = self.sockets.entry(netns).or_insert_with(|| Sockets {
            udp: both("udp"),
            tcp: both("tcp"),
        });
        Some(sockets)
    }
}

/// What these have, as far as it could be read: that something is not in it says nothing.
fn table(paths: &[String]) -> Vec<u8> {
    let mut text = Vec::new();
    for path in paths {
        if let Ok(file) = File::open(Path::new(path)) {
            // A part of it is a part of what is known.
            let _ = file.take(TABLE_BYTES).read_to_end(&mut text);
        }
    }
    text
}

/// The remote end of the socket with this inode number.
fn remote(table: &[u8], inode: u32) -> Option<SocketAddr> {
    entry(table, inode)?.1
}

/// Both ends, where there are, in the line of the socket with this inode number, of tables of TCP and UDP
/// (net/ipv4/udp.c:udp4_format_sock, net/ipv4/tcp_ipv4.c:get_tcp4_sock, 5.10 to 7.2).
fn entry(table: &[u8], inode: u32) -> Option<(Option<SocketAddr>, Option<SocketAddr>)> {
    table.split(|b| *b == b'\n').find_map(|line| {
        let text = std::str::from_utf8(line).ok()?;
        let mut words = text.split_whitespace();
        let (local, remote) = (words.nth(1)?, words.next()?);
        let found: u32 = words.nth(6)?.parse().ok()?;
        let end = |text| address(text).filter(|at| at.port() != 0);
        (found == inode).then(|| (end(local), end(remote)))
    })
}

/// `0100007F:0035`: words of four bytes in this host's order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = ip.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Who has the lock on the file with this inode number that `waits` waits for: `3: FLOCK ADVISORY WRITE 12 08:01:99 0 EOF`,
/// and those who wait for it behind `3: ->` (fs/locks.c:lock_get_status, 5.10 to 7.2).
fn owner(locks: &[u8], waits: u32, inode: u64) -> Option<u32> {
    let mut has: Option<(&[u8], u32)> = None;
    for line in locks.split(|b| *b == b'\n') {
        let words: Vec<&[u8]> = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .collect();
        let (waiting, rest) = match words.as_slice() {
            [_, arrow, rest @ ..] if *arrow == b"->" => (true, rest),
            [_, rest @ ..] => (false, rest),
            [] => continue,
        };
        let [_, _, _, pid, file, ..] = rest else {
            continue;
        };
        let of_file = file.rsplit(|b| *b == b':').next();
        let is_its = of_file.and_then(number::<u64>) == Some(inode);
        // One of an open file description has no process: -1.
        let pid = number::<u32>(pid).filter(|pid| is_its && *pid != 0);
        match (waiting, pid) {
            (false, pid) => has = pid.map(|pid| (words[0], pid)),
            (true, Some(pid)) if pid == waits => {
                let (of, owner) = has?;
                return (of == words[0]).then_some(owner);
            }
            (true, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::{
        net::UdpSocket,
        os::{fd::AsRawFd, unix::ffi::OsStrExt},
    };

    use super::*;

    #[test]
    fn who_has_a_lock() {
        let locks = b"1: POSIX  ADVISORY  WRITE 5 08:01:7 0 EOF\n\
            2: FLOCK  ADVISORY  WRITE 12 08:01:99 0 EOF\n\
            2: -> FLOCK  ADVISORY  WRITE 13 08:01:99 0 EOF\n\
            2: -> FLOCK  ADVISORY  WRITE 14 08:01:99 0 EOF\n\
            3: OFDLCK ADVISORY  WRITE -1 00:1b:98 0 EOF\n\
            3: -> POSIX  ADVISORY  WRITE 15 00:1b:98 0 EOF\n";
        assert_eq!(owner(locks, 13, 99), Some(12));
        assert_eq!(owner(locks, 14, 99), Some(12));
        // Another file, nobody who waits, one without a process.
        assert_eq!(owner(locks, 13, 7), None);
        assert_eq!(owner(locks, 12, 99), None);
        assert_eq!(owner(locks, 15, 98), None);
        assert_eq!(
            owner(b"4: -> FLOCK ADVISORY WRITE 1 0:0:1 0 EOF\n\n5:\n", 1, 1),
            None
        );
    }

    #[test]
    fn where_a_socket_leads() {
        let udp = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref\n\
            7: 0100007F:A001 0101007F:0035 01 00000000:00000000 00:00000000 00000000     0        0 4242 2\n";
        let expect: [u8; 4] = 0x0101_007f_u32.to_ne_bytes();
        assert_eq!(remote(udp, 4242), Some(SocketAddr::from((expect, 53))));
        assert_eq!(remote(udp, 4243), None);
        assert_eq!(address("0100007F"), None);
        assert_eq!(address("0100007:0035"), None);
    }

    #[test]
    fn who_waits_for_several_files_has_asked_somebody_or_nobody() {
        let here = std::process::id();
        let asked = |files: &[&dyn AsRawFd]| {
            let files: Vec<u32> = files.iter().map(|one| one.as_raw_fd() as u32).collect();
            Awaiting::default().peers(here, &files)
        };
        let client = || UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        let (one, two, to_dns) = (client(), client(), client());
        let dns = SocketAddr::from(([127, 0, 0, 1], DNS_PORT));
        to_dns.connect(dns).expect("a peer");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a listener");
        let file = File::open("/dev/null").expect("a file");
        assert_eq!(asked(&[&one, &two]), Some(Awaits::Peers(2)));
        let among = Some(Awaits::DnsAmong(dns));
        assert_eq!(asked(&[&file, &to_dns, &one]), among);
        // A listener, or what is no socket, may be all that it waits for.
        assert_eq!(asked(&[&listener, &to_dns]), None);
        assert_eq!(asked(&[&one, &listener]), None);
        assert_eq!(asked(&[&one, &file]), Some(Awaits::PeersAmong(1)));
        assert_eq!(asked(&[&file]), None);
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn what_an_epoll_instance_waits_for() {
        let text = b"pos:\t0\nflags:\t02\ntfd:        5 events:       19 data:   5\ntfd:       16 events: 1\n";
        assert_eq!(in_epoll(text), [5, 16]);
        assert_eq!(in_epoll(b"pos:\t0\ntfd: x\n"), [] as [u32; 0]);
    }

    #[test]
    fn of_a_socket_here() {
        let server = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("another");
        let to = server.local_addr().expect("its address");
        socket.connect(to).expect("a peer");
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd()));
        let link = link.expect("a link");
        let inode = super::super::procfs::bracketed(link.as_os_str().as_bytes(), b"socket");
        let table = table(&["/proc/self/net/udp".to_owned()]);
        assert_eq!(remote(&table, inode.expect("a socket's")), Some(to));
    }

    #[test]
    fn of_a_futex_it_is_said_who_else_sleeps_on_it() {
        let thread = |tid, futex| Thread {
            tid,
            comm: "a".into(),
            state: 'S',
            ran_ns: None,
            waited_ns: None,
            syscall: Some("futex".into()),
            waits_for_lock: false,
            wchan: None,
            fd: None,
            socket: None,
            polled: None,
            futex: Some(futex),
        };
        let process = Process {
            pid: 1,
            comm: "a".into(),
            taken_ns: 0,
            threads: vec![thread(1, 5), thread(2, 5), thread(3, 6)],
            has_more: false,
            fds: None,
        };
        let both = |n| Awaits::Futex(n);
        let found = awaits(&process, &mut Awaiting::default());
        assert_eq!(found, [(1, both(1)), (2, both(1)), (3, both(0))]);
    }
}
