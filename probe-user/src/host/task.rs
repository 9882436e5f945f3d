//! What a process and its threads are doing: from a pid to states, times and descriptors at one instant.
//!
//! In: a pid. Out: a [`Process`] as /proc shows it now. What may not be read, or is not there on this kernel, is `None`.
//! It never stops or slows the process it looks at.

use std::collections::HashSet;
use std::mem::MaybeUninit;
use std::time::Duration;

use rustix::fs::{CWD, readlinkat_raw};

use super::clock::{boot_ns, mono_ns};
use super::procfs::{bracketed, for_each_entry, for_each_pid, number, open_dir, read_small};
use crate::model::{
    process::{Process, Thread},
    socket::UnansweredSnapshot,
};

/// Looks at more threads of a process cost more than they tell.
const THREADS_AT_MOST: usize = 256;

/// Ages are known to a tick of each of the kernel's clocks, 10 ms at most; this is more.
const BIRTH: Duration = Duration::from_millis(50);
/// USER_HZ is 100 (include/asm-generic/param.h, arch/x86, 5.10 to 7.2).
const TICK_NS: u64 = 10_000_000;
/// The two clocks are not read at the same moment.
const SLEPT_NS: u64 = 100_000_000;

/// `None` when there is no such process any more.
pub fn look(pid: u32) -> Option<Process> {
    let mut text = Vec::with_capacity(1024);
    let tasks = open_dir(CWD, format!("/proc/{pid}/task")).ok()?;
    let mut tids = Vec::new();
    for_each_pid(&tasks, |_, tid| tids.push(tid)).ok()?;
    let has_more = tids.len() > THREADS_AT_MOST;
    tids.truncate(THREADS_AT_MOST);
    let threads: Vec<Thread> = tids
        .into_iter()
        .filter_map(|tid| thread(&tasks, tid, &mut text))
        .collect();
    let comm = threads
        .iter()
        .find(|thread| thread.tid == pid)
        .or(threads.first())?
        .comm
        .clone();
    Some(Process {
        pid,
        comm,
        taken_ns: mono_ns(),
        threads,
        has_more,
        fds: fds(pid, &mut text),
    })
}

fn thread(tasks: &impl std::os::fd::AsFd, tid: u32, text: &mut Vec<u8>) -> Option<Thread> {
    read_small(tasks, format!("{tid}/stat"), text).ok()?;
    let (comm, state) = name_and_state(text)?;
    let times = read_small(tasks, format!("{tid}/schedstat"), text)
        .ok()
        .and_then(|()| two_numbers(text));
    let syscall = read_small(tasks, format!("{tid}/syscall"), text)
        .ok()
        .map(|()| syscall(text));
    let (syscall, waits_for_lock) = syscall.unwrap_or_default();
    let wchan = read_small(tasks, format!("{tid}/wchan"), text)
        .ok()
        .map(|()| String::from_utf8_lossy(text).trim().to_owned())
        .filter(|name| !name.is_empty() && name != "0");
    Some(Thread {
        tid,
        comm,
        state,
        ran_ns: times.map(|(ran, _)| ran),
        waited_ns: times.map(|(_, waited)| waited),
        syscall: syscall.map(syscall_name),
        waits_for_lock,
        wchan,
    })
}

/// `202 0x7f… 0x80 0x2 0x0 …`: the number and six arguments (fs/proc/base.c:proc_pid_syscall, 5.10 to 7.2).
fn syscall(text: &[u8]) -> (Option<i64>, bool) {
    let mut words = text.split(u8::is_ascii_whitespace);
    let number = words.next().and_then(number);
    let arguments: Vec<u64> = words.map_while(hex).take(6).collect();
    let waits = number == Some(libc::SYS_futex) && waits_for_lock(&arguments);
    (number, waits)
}

/// Whether these are futex(2)'s arguments of who waits for a mutex. glibc waits for the value 2, held with somebody who waits, and
/// for anything else with FUTEX_WAIT_BITSET (nptl/lowlevellock.c:__lll_lock_wait, nptl/futex-internal.c, 2.36). Others that
/// do not say so are not known by it.
fn waits_for_lock(arguments: &[u64]) -> bool {
    const AWAITED: u64 = 2;
    const NO_TIMEOUT: u64 = 0;
    let [_, operation, value, timeout, ..] = *arguments else {
        return false;
    };
    let wait = libc::FUTEX_WAIT as u64;
    let operation = operation & !(libc::FUTEX_PRIVATE_FLAG as u64);
    (operation, value, timeout) == (wait, AWAITED, NO_TIMEOUT)
}

fn hex(word: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(word).ok()?.strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok()
}

/// `1 (comm) S …`, where comm may hold anything, brackets too.
fn name_and_state(stat: &[u8]) -> Option<(String, char)> {
    let open = stat.iter().position(|b| *b == b'(')?;
    let close = stat.iter().rposition(|b| *b == b')')?;
    let comm = stat.get(open + 1..close)?;
    let state = stat.get(close + 2)?;
    Some((
        String::from_utf8_lossy(comm).into_owned(),
        char::from(*state),
    ))
}

fn two_numbers(text: &[u8]) -> Option<(u64, u64)> {
    let mut words = text.split(u8::is_ascii_whitespace);
    Some((number(words.next()?)?, number(words.next()?)?))
}

fn fds(pid: u32, text: &mut Vec<u8>) -> Option<(u64, u64)> {
    let directory = open_dir(CWD, format!("/proc/{pid}/fd")).ok()?;
    let mut open = 0;
    for_each_entry(directory, |_, _, _| open += 1).ok()?;
    read_small(CWD, format!("/proc/{pid}/limits"), text).ok()?;
    let line = text
        .split(|b| *b == b'\n')
        .find_map(|line| line.strip_prefix(b"Max open files"))?;
    let soft = line
        .split(u8::is_ascii_whitespace)
        .find(|word| !word.is_empty())?;
    Some((open, number(soft).unwrap_or(u64::MAX)))
}

/// Whether an epoll instance of the process waits for a file with this inode number (`ino:` of
/// fs/eventpoll.c:ep_show_fdinfo, hexadecimal, 5.10 to 7.2); `None` where it has no epoll instance.
pub fn is_polled(pid: u32, inode: u32) -> Option<bool> {
    let fds = open_dir(CWD, format!("/proc/{pid}/fdinfo")).ok()?;
    let mut names = Vec::new();
    for_each_pid(&fds, |_, fd| names.push(fd)).ok()?;
    let mut text = Vec::with_capacity(4096);
    let mut polled = None;
    for fd in names {
        if read_small(&fds, fd.to_string(), &mut text).is_err() {
            continue;
        }
        if let Some(waits) = waits_for(&text, inode) {
            polled = Some(polled.unwrap_or(false) || waits);
        }
    }
    polled
}

/// `None` for what is no epoll instance, as far as it shows: one that waits for nothing shows nothing.
fn waits_for(fdinfo: &[u8], inode: u32) -> Option<bool> {
    let mut lines = fdinfo
        .split(|b| *b == b'\n')
        .filter(|line| line.starts_with(b"tfd:"))
        .peekable();
    lines.peek()?;
    Some(lines.any(|line| {
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_whitespace();
        let found = words.find_map(|word| word.strip_prefix("ino:").map(str::to_owned));
        found.is_some_and(|hex| u64::from_str_radix(&hex, 16) == Ok(u64::from(inode)))
    }))
}

/// Whether the process holds a connection that it accepted itself: one that is younger than the process, so that it can
/// have been inherited from nobody.
pub fn has_accepted(pid: u32, connections: &[UnansweredSnapshot]) -> bool {
    let Some(age) = age(pid) else {
        return false;
    };
    let own: HashSet<u32> = connections
        .iter()
        .filter(|connection| connection.age + BIRTH < age)
        .map(|connection| connection.inode)
        .collect();
    !own.is_empty() && holds_any(pid, &own)
}

fn holds_any(pid: u32, inodes: &HashSet<u32>) -> bool {
    let Ok(fds) = open_dir(CWD, format!("/proc/{pid}/fd")) else {
        return false;
    };
    let mut holds = false;
    let looked = for_each_entry(&fds, |name, _, _| {
        let mut link = [MaybeUninit::uninit(); 64];
        let inode = match readlinkat_raw(&fds, name, &mut link) {
            Ok((link, _)) => bracketed(link, b"socket"),
            Err(_) => None,
        };
        holds |= inode.is_some_and(|inode: u32| inodes.contains(&inode));
    });
    looked.is_ok() && holds
}

/// How long ago a process was started. `None` where the host has slept since it was started: connections do not grow older then, and processes do.
pub fn age(pid: u32) -> Option<Duration> {
    let mut text = Vec::with_capacity(1024);
    read_small(CWD, format!("/proc/{pid}/stat"), &mut text).ok()?;
    let (now, awake) = (boot_ns(), mono_ns());
    if now.saturating_sub(awake) > SLEPT_NS {
        return None;
    }
    let born = started_ticks(&text)?.checked_mul(TICK_NS)?;
    now.checked_sub(born).map(Duration::from_nanos)
}

/// Field 22 of /proc/PID/stat, on the clock that goes on while the host sleeps (fs/proc/array.c:do_task_stat, 5.10 to 7.2).
fn started_ticks(stat: &[u8]) -> Option<u64> {
    const STARTED: usize = 22;
    const STATE: usize = 3;
    let close = stat.iter().rposition(|b| *b == b')')?;
    let mut fields = stat.get(close + 2..)?.split(u8::is_ascii_whitespace);
    number(fields.nth(STARTED - STATE)?)
}

/// The names of system calls in which a server waits for connections or for work, on this architecture.
fn syscall_name(number: i64) -> String {
    KNOWN
        .iter()
        .find(|(known, _)| *known == number)
        .map_or_else(
            || format!("system call {number}"),
            |(_, name)| (*name).into(),
        )
}

const KNOWN: [(i64, &str); 24] = [
    (libc::SYS_accept, "accept"),
    (libc::SYS_accept4, "accept4"),
    (libc::SYS_epoll_wait, "epoll_wait"),
    (libc::SYS_epoll_pwait, "epoll_pwait"),
    (libc::SYS_poll, "poll"),
    (libc::SYS_ppoll, "ppoll"),
    (libc::SYS_select, "select"),
    (libc::SYS_pselect6, "pselect6"),
    (libc::SYS_io_uring_enter, "io_uring_enter"),
    (libc::SYS_futex, "futex"),
    (libc::SYS_read, "read"),
    (libc::SYS_write, "write"),
    (libc::SYS_pread64, "pread64"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_flock, "flock"),
    (libc::SYS_wait4, "wait4"),
    (libc::SYS_nanosleep, "nanosleep"),
    (libc::SYS_clock_nanosleep, "clock_nanosleep"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_thread() {
        let stat = b"7 (a (b) c) S 1 7 7 0";
        assert_eq!(name_and_state(stat), Some(("a (b) c".into(), 'S')));
        assert_eq!(name_and_state(b"7 (a"), None);
        assert_eq!(name_and_state(b")("), None);
        assert_eq!(name_and_state(b"7 (a)"), None);
        assert_eq!(two_numbers(b"12 34 5\n"), Some((12, 34)));
        assert_eq!(two_numbers(b"12"), None);
    }

    #[test]
    fn of_its_birth() {
        let stat = b"7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 1 2 3";
        assert_eq!(started_ticks(stat), Some(123_456));
        assert_eq!(started_ticks(b"7 (a) S 1 7"), None);
        assert_eq!(started_ticks(b"7 (a"), None);
    }

    #[test]
    fn of_a_system_call() {
        let of = |text: &str| syscall(text.as_bytes());
        let futex = Some(libc::SYS_futex);
        assert_eq!(of("running\n"), (None, false));
        assert_eq!(of("-1 0x7ffc 0x7f\n"), (None, false));
        assert_eq!(
            of("0 0x3 0x80 0x2 0x0 0x0 0x0 0x7f 0x7f\n"),
            (Some(0), false)
        );
        assert_eq!(
            of("202 0x7f 0x80 0x2 0x0 0x0 0x0 0x7f 0x7f\n"),
            (futex, true)
        );
        // Shared with other processes.
        assert_eq!(
            of("202 0x7f 0x0 0x2 0x0 0x0 0x0 0x7f 0x7f\n"),
            (futex, true)
        );
        // A condition variable, and one that gives up.
        assert_eq!(
            of("202 0x7f 0x189 0x0 0x0 0x0 0xffffffff 0x7f 0x7f\n"),
            (futex, false)
        );
        assert_eq!(
            of("202 0x7f 0x80 0x2 0x7f 0x0 0x0 0x7f 0x7f\n"),
            (futex, false)
        );
        assert_eq!(of("202 0x7f 0x80"), (futex, false));
    }

    #[test]
    fn what_epoll_waits_for() {
        let text =
            b"pos:\t0\nflags:\t02\ntfd:        5 events:       19 data:   5  pos:0 ino:1a sdev:8\n";
        assert_eq!(waits_for(text, 0x1a), Some(true));
        assert_eq!(waits_for(text, 0x1b), Some(false));
        assert_eq!(waits_for(b"pos:\t0\n", 1), None);
    }

    #[test]
    fn of_this_process() {
        let this = look(std::process::id()).expect("this process");
        assert!(!this.threads.is_empty());
        let (open, limit) = this.fds.expect("its descriptors");
        assert!(open > 0 && open <= limit, "{open} of {limit}");
        let me = this.threads.iter().find(|thread| thread.state == 'R');
        assert!(me.is_some(), "the thread that looks is running");
    }
}
