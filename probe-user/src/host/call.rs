//! The system call that a thread sleeps in: from its line in /proc to a name, and the files that it waits for.
//!
//! In: the text of /proc/PID/task/TID/syscall, and the thread's memory for what poll(2) and select(2) wait for. Out: a
//! [`Call`]. What cannot be read is `None`. It changes nothing in the thread, and remembers nothing.

use std::{fs::File, os::unix::fs::FileExt};

use super::procfs::number;

/// Files of one call of poll(2) or select(2) that are looked at.
const POLLED_AT_MOST: u64 = 1024;

/// A system call, as far as it is known.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub name: Option<String>,
    /// Whether it waits until somebody gives a lock back.
    pub waits_for_lock: bool,
    /// The descriptor that it is about.
    pub fd: Option<u32>,
    /// Where the futex is that it sleeps on.
    pub futex: Option<u64>,
    /// Where its memory has what poll(2) or select(2) waits for.
    polled: Option<Polled>,
}

#[derive(Debug, PartialEq, Eq)]
enum Polled {
    /// An array of `struct pollfd`, and its length.
    Poll(u64, u64),
    /// Sets of descriptors below a number: to read, to write.
    Select(u64, [u64; 2]),
}

impl Call {
    /// `202 0x7f… 0x80 0x2 0x0 …`: the number and six arguments (fs/proc/base.c:proc_pid_syscall, 5.10 to 7.2).
    pub(super) fn of(text: &[u8]) -> Self {
        let mut words = text.split(u8::is_ascii_whitespace);
        let Some(call) = words.next().and_then(number) else {
            return Self::default();
        };
        let arguments: Vec<u64> = words.map_while(hex).take(6).collect();
        let known = KNOWN.iter().find(|(known, ..)| *known == call);
        let (name, is_of_file) = known.map_or_else(
            || (format!("system call {call}"), false),
            |(_, name, is_of_file)| ((*name).to_owned(), *is_of_file),
        );
        let first = arguments.first().filter(|_| is_of_file);
        Self {
            name: Some(name),
            waits_for_lock: call == libc::SYS_futex && waits_for_lock(&arguments),
            fd: first.and_then(|fd| u32::try_from(*fd).ok()),
            futex: arguments
                .first()
                .copied()
                .filter(|_| call == libc::SYS_futex),
            polled: polled(call, &arguments),
        }
    }

    /// The files that it waits for, by its memory; `None` where it waits for none, or that cannot be read.
    pub(super) fn polled(&self, memory: impl FnOnce() -> Option<File>) -> Option<Vec<u32>> {
        match *self.polled.as_ref()? {
            Polled::Poll(at, n) => {
                let mut bytes = vec![0; usize::try_from(n * POLLFD_BYTES).ok()?];
                memory()?.read_exact_at(&mut bytes, at).ok()?;
                Some(of_poll(&bytes))
            }
            Polled::Select(n, sets) => {
                let memory = memory()?;
                let mut both = vec![0; usize::try_from(n.div_ceil(64) * 8).ok()?];
                let mut set = both.clone();
                for at in sets.into_iter().filter(|at| *at != 0) {
                    memory.read_exact_at(&mut set, at).ok()?;
                    both.iter_mut()
                        .zip(&set)
                        .for_each(|(both, set)| *both |= set);
                }
                Some(of_select(&both, n))
            }
        }
    }
}

fn polled(call: i64, arguments: &[u64]) -> Option<Polled> {
    let [first, second, third, ..] = *arguments else {
        return None;
    };
    match call {
        libc::SYS_poll | libc::SYS_ppoll if second <= POLLED_AT_MOST => {
            Some(Polled::Poll(first, second))
        }
        libc::SYS_select | libc::SYS_pselect6 if first <= POLLED_AT_MOST => {
            Some(Polled::Select(first, [second, third]))
        }
        _ => None,
    }
}

/// Of `struct pollfd`: a descriptor, the events that are asked for, and those that happened.
const POLLFD_BYTES: u64 = 8;

fn of_poll(bytes: &[u8]) -> Vec<u32> {
    let each = bytes.chunks_exact(POLLFD_BYTES as usize);
    each.filter_map(|one| {
        let (fd, rest) = one.split_first_chunk()?;
        let events = u16::from_ne_bytes(*rest.first_chunk()?);
        // A negative one is left out by poll(2).
        let fd = u32::try_from(i32::from_ne_bytes(*fd)).ok()?;
        (events != 0).then_some(fd)
    })
    .collect()
}

/// Words of a set, the lowest bit first, of descriptors below `n`.
fn of_select(bytes: &[u8], n: u64) -> Vec<u32> {
    let words = bytes
        .as_chunks()
        .0
        .iter()
        .map(|word| u64::from_ne_bytes(*word));
    let set = words.zip((0_u32..).step_by(64));
    set.flat_map(|(word, from)| {
        (0..64)
            .filter(move |bit| word >> bit & 1 == 1)
            .map(move |bit| from + bit)
    })
    .filter(|fd| u64::from(*fd) < n)
    .collect()
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

/// The system calls in which a server waits for connections or for work, on this architecture, and whether the first argument
/// is a descriptor.
const KNOWN: [(i64, &str, bool); 34] = [
    (libc::SYS_accept, "accept", true),
    (libc::SYS_accept4, "accept4", true),
    (libc::SYS_epoll_wait, "epoll_wait", true),
    (libc::SYS_epoll_pwait, "epoll_pwait", true),
    (libc::SYS_epoll_pwait2, "epoll_pwait2", true),
    (libc::SYS_poll, "poll", false),
    (libc::SYS_ppoll, "ppoll", false),
    (libc::SYS_select, "select", false),
    (libc::SYS_pselect6, "pselect6", false),
    (libc::SYS_io_uring_enter, "io_uring_enter", true),
    (libc::SYS_futex, "futex", false),
    (libc::SYS_read, "read", true),
    (libc::SYS_readv, "readv", true),
    (libc::SYS_write, "write", true),
    (libc::SYS_writev, "writev", true),
    (libc::SYS_pread64, "pread64", true),
    (libc::SYS_pwrite64, "pwrite64", true),
    (libc::SYS_recvfrom, "recvfrom", true),
    (libc::SYS_sendto, "sendto", true),
    (libc::SYS_recvmsg, "recvmsg", true),
    (libc::SYS_recvmmsg, "recvmmsg", true),
    (libc::SYS_sendmsg, "sendmsg", true),
    (libc::SYS_sendfile, "sendfile", true),
    (libc::SYS_connect, "connect", true),
    (libc::SYS_fsync, "fsync", true),
    (libc::SYS_fdatasync, "fdatasync", true),
    (libc::SYS_flock, "flock", true),
    (libc::SYS_fcntl, "fcntl", true),
    (libc::SYS_wait4, "wait4", false),
    (libc::SYS_waitid, "waitid", false),
    (libc::SYS_nanosleep, "nanosleep", false),
    (libc::SYS_clock_nanosleep, "clock_nanosleep", false),
    (libc::SYS_rt_sigtimedwait, "rt_sigtimedwait", false),
    (libc::SYS_rt_sigsuspend, "rt_sigsuspend", false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_system_call() {
        let of = |text: &str| {
            let call = Call::of(text.as_bytes());
            (call.name.unwrap_or_default(), call.waits_for_lock, call.fd)
        };
        let futex = |is_locked| ("futex".to_owned(), is_locked, None);
        assert_eq!(Call::of(b"running\n"), Call::default());
        assert_eq!(Call::of(b"-1 0x7ffc 0x7f\n"), Call::default());
        assert_eq!(
            of("0 0x3 0x80 0x2 0x0 0x0 0x0 0x7f 0x7f\n"),
            ("read".to_owned(), false, Some(3))
        );
        assert_eq!(
            of("232 0x6 0x7f 0x200 0xffffffff 0x0 0x0 0x7f 0x7f\n"),
            ("epoll_wait".to_owned(), false, Some(6))
        );
        assert_eq!(
            of("999 0x3 0x80"),
            ("system call 999".to_owned(), false, None)
        );
        assert_eq!(of("202 0x7f 0x80 0x2 0x0 0x0 0x0 0x7f 0x7f\n"), futex(true));
        // Shared with other processes.
        assert_eq!(of("202 0x7f 0x0 0x2 0x0 0x0 0x0 0x7f 0x7f\n"), futex(true));
        // A condition variable, and one that gives up.
        assert_eq!(
            of("202 0x7f 0x189 0x0 0x0 0x0 0xffffffff 0x7f 0x7f\n"),
            futex(false)
        );
        assert_eq!(
            of("202 0x7f 0x80 0x2 0x7f 0x0 0x0 0x7f 0x7f\n"),
            futex(false)
        );
        assert_eq!(of("202 0x7f 0x80"), futex(false));
    }

    #[test]
    fn of_what_is_polled() {
        let one =
            |fd: i32, events: u16| [&fd.to_ne_bytes()[..], &events.to_ne_bytes(), &[0; 2]].concat();
        let array = [one(7, 1), one(-1, 1), one(8, 0), one(9, 4)].concat();
        assert_eq!(of_poll(&array), [7, 9]);
        assert_eq!(of_poll(&array[..12]), [7]);
        let set = [1_u64 << 3 | 1 << 63, 1 << 1 | 1 << 9]
            .map(u64::to_ne_bytes)
            .concat();
        assert_eq!(of_select(&set, 70), [3, 63, 65]);
        assert_eq!(of_select(&[], 70), [0_u32; 0]);
    }

    #[test]
    fn of_a_thread_that_polls_here() {
        let array: Vec<u8> = [5_i32.to_ne_bytes(), [1, 0, 0, 0]].concat();
        let line = format!("7 {:p} 0x1 0xffffffff 0x0 0x0 0x0", array.as_ptr());
        let memory = || File::open("/proc/self/mem").ok();
        assert_eq!(Call::of(line.as_bytes()).polled(memory), Some(vec![5]));
        let nowhere = Call::of(b"7 0x10 0x1 0xffffffff 0x0 0x0 0x0");
        assert_eq!(nowhere.polled(memory), None);
        let many = Call::of(b"7 0x10 0xffffffffffff 0xffffffff 0x0 0x0 0x0");
        assert_eq!(many.polled(memory), None);
    }
}
