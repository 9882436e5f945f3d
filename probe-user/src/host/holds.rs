//! How a process holds a listener: its descriptors, their mode, and the epoll instances that it stands in.
//!
//! In: a pid, and the inode number of a socket. Out: a [`Hold`], `None` where the process may not be looked at or has ended.
//! It remembers nothing.

use std::{ffi::CStr, io::ErrorKind, mem::MaybeUninit};

use rustix::fs::{CWD, readlinkat_raw};

use super::procfs::{bracketed, for_each_entry, number, open_dir, read_small};
use crate::model::hold::Hold;

/// Epoll instances of a process that are looked at.
const EPOLLS_AT_MOST: usize = 256;

pub fn holds(pid: u32, inode: u32) -> Option<Hold> {
    let fds = open_dir(CWD, format!("/proc/{pid}/fd")).ok()?;
    let infos = open_dir(CWD, format!("/proc/{pid}/fdinfo")).ok()?;
    let mut hold = Hold {
        pid,
        ..Hold::default()
    };
    let mut epolls = Vec::new();
    for_each_entry(&fds, |name, _, _| {
        let Some(fd) = number(name.to_bytes()) else {
            return;
        };
        match kind(&fds, name, inode) {
            Some(Kind::Listener) => hold.fds.push(fd),
            Some(Kind::Epoll) => epolls.push(fd),
            None => {}
        }
    })
    .ok()?;
    let mut text = Vec::with_capacity(4096);
    if let Some(fd) = hold.fds.first() {
        let read = read_small(&infos, fd.to_string(), &mut text).ok();
        hold.nonblocking = read.and_then(|()| is_nonblocking(&text));
    }
    let has_more = epolls.len() > EPOLLS_AT_MOST;
    for fd in epolls.into_iter().take(EPOLLS_AT_MOST) {
        match read_small(&infos, fd.to_string(), &mut text) {
            Ok(()) => {}
            // It was closed meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            // It may stand in this one.
            Err(_) => return None,
        }
        match events_of(&text, inode) {
            Some(events) => hold.epolls.push((fd, events)),
            None => hold.has_others = true,
        }
    }
    // It may stand in one that was not looked at: that it is in none is not said.
    (!has_more || !hold.epolls.is_empty()).then_some(hold)
}

enum Kind {
    Listener,
    Epoll,
}

fn kind(fds: &impl std::os::fd::AsFd, name: &CStr, inode: u32) -> Option<Kind> {
    let mut link = [MaybeUninit::uninit(); 64];
    let (link, _) = readlinkat_raw(fds, name, &mut link).ok()?;
    if link == b"anon_inode:[eventpoll]" {
        Some(Kind::Epoll)
    } else {
        (bracketed(link, b"socket") == Some(inode)).then_some(Kind::Listener)
    }
}

/// Of the octal `flags:` of any file (fs/proc/fd.c:seq_show, 5.10 to 7.2).
fn is_nonblocking(fdinfo: &[u8]) -> Option<bool> {
    let mut lines = fdinfo.split(|b| *b == b'\n');
    let flags = lines.find_map(|line| line.strip_prefix(b"flags:"))?;
    let flags = std::str::from_utf8(flags).ok()?.trim();
    let flags = u32::from_str_radix(flags, 8).ok()?;
    Some(flags & libc::O_NONBLOCK as u32 != 0)
}

/// The events that an epoll instance is asked for of a file with this inode number, of all descriptors of it: `events:` and
/// `ino:`, hexadecimal (fs/eventpoll.c:ep_show_fdinfo, 5.10 to 7.2); `None` where it does not stand in it.
fn events_of(fdinfo: &[u8], inode: u32) -> Option<u32> {
    let lines = fdinfo.split(|b| *b == b'\n');
    let events = lines.filter_map(|line| {
        let text = std::str::from_utf8(line.strip_prefix(b"tfd:")?).ok()?;
        let mut words = text.split_whitespace();
        words.find(|word| *word == "events:")?;
        let events = u32::from_str_radix(words.next()?, 16).ok()?;
        let found = words.find_map(|word| word.strip_prefix("ino:"))?;
        (u64::from_str_radix(found, 16) == Ok(u64::from(inode))).then_some(events)
    });
    events.reduce(|all, events| all | events)
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        os::fd::AsRawFd,
        sync::{Mutex, PoisonError},
    };

    use rustix::event::epoll;

    use super::*;

    /// Each looks at all epoll instances of this process.
    static ALONE: Mutex<()> = Mutex::new(());

    #[test]
    fn of_more_epoll_instances_than_are_looked_at_it_is_not_known_that_it_is_in_none() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a listener");
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd()));
        let link = link.expect("a link").to_string_lossy().into_owned();
        let inode = bracketed(link.as_bytes(), b"socket").expect("a socket");
        let one = || epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll instance");
        let all: Vec<_> = (0..=EPOLLS_AT_MOST).map(|_| one()).collect();
        assert_eq!(holds(std::process::id(), inode).map(|hold| hold.fds), None);
        drop(all);
        assert!(holds(std::process::id(), inode).is_some());
    }

    #[test]
    fn what_epoll_is_asked_for() {
        let text =
            b"pos:\t0\nflags:\t02\ntfd:        5 events:       19 data:   5  pos:0 ino:1a sdev:8\n\
            tfd:        6 events: 40000000 data:                6  pos:0 ino:1b sdev:8\n";
        assert_eq!(events_of(text, 0x1a), Some(0x19));
        assert_eq!(events_of(text, 0x1b), Some(0x4000_0000));
        assert_eq!(events_of(text, 0x1c), None);
        assert_eq!(events_of(b"pos:\t0\n", 1), None);
        assert_eq!(events_of(b"tfd: events: x ino:1\ntfd:\n", 1), None);
    }

    #[test]
    fn what_mode_it_is_in() {
        assert_eq!(is_nonblocking(b"pos:\t0\nflags:\t02004002\n"), Some(true));
        assert_eq!(is_nonblocking(b"pos:\t0\nflags:\t02000002\n"), Some(false));
        assert_eq!(is_nonblocking(b"flags:\t9\n"), None);
        assert_eq!(is_nonblocking(b"pos:\t0\n"), None);
    }

    #[test]
    fn of_a_listener_here() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a listener");
        let second = listener.try_clone().expect("a second descriptor");
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd()));
        let link = link.expect("a link").to_string_lossy().into_owned();
        let inode = bracketed(link.as_bytes(), b"socket").expect("a socket");
        let with = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll instance");
        let hold = || holds(std::process::id(), inode).expect("this process");
        let found = hold();
        let fds = [&listener, &second].map(|one| one.as_raw_fd() as u32);
        assert_eq!(found.fds, fds);
        assert_eq!((found.nonblocking, found.epolls), (Some(false), Vec::new()));
        assert!(found.has_others);
        listener.set_nonblocking(true).expect("its mode");
        let data = epoll::EventData::new_u64(0);
        let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        epoll::add(&with, &listener, data, once).expect("the listener in it");
        let found = hold();
        // The kernel asks for errors (8) and the end (0x10) on its own.
        let expect = (with.as_raw_fd() as u32, once.bits() | 0x18);
        assert_eq!(
            (found.nonblocking, found.epolls),
            (Some(true), vec![expect])
        );
    }
}
