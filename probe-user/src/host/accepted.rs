//! Who has accepted a connection: from a process and connections to whether one of them is its own.
//!
//! In: a pid, and connections of a listener. Out: whether it accepted one of them itself, or may have. It remembers nothing.

use std::{collections::HashSet, mem::MaybeUninit, time::Duration};

use rustix::fs::{CWD, readlinkat_raw};

use super::{
    clock::{boot_ns, mono_ns},
    procfs::{bracketed, for_each_entry, number, open_dir, read_small},
};
use crate::model::socket::AcceptedSnapshot;

/// Ages are known to a tick of each of the kernel's clocks, 10 ms at most; this is more.
const BIRTH: Duration = Duration::from_millis(50);
/// USER_HZ is 100 (include/asm-generic/param.h, arch/x86, 5.10 to 7.2).
const TICK_NS: u64 = 10_000_000;
/// The two clocks are not read at the same moment.
const SLEPT_NS: u64 = 100_000_000;

/// Whether the process holds a connection that it accepted itself: one that is younger than the process, so that it can
/// have been inherited from nobody. `None` where that cannot be read.
pub fn has_accepted(pid: u32, connections: &[AcceptedSnapshot]) -> Option<bool> {
    let age = age(pid)?;
    let own: HashSet<u32> = connections
        .iter()
        .filter(|connection| connection.age.is_some_and(|young| young + BIRTH < age))
        .map(|connection| connection.inode)
        .collect();
    if own.is_empty() {
        return Some(false);
    }
    holds_any(pid, &own)
}

fn holds_any(pid: u32, inodes: &HashSet<u32>) -> Option<bool> {
    let fds = open_dir(CWD, format!("/proc/{pid}/fd")).ok()?;
    let mut holds = false;
    let looked = for_each_entry(&fds, |name, _, _| {
        let mut link = [MaybeUninit::uninit(); 64];
        let inode = match readlinkat_raw(&fds, name, &mut link) {
            Ok((link, _)) => bracketed(link, b"socket"),
            Err(_) => None,
        };
        holds |= inode.is_some_and(|inode: u32| inodes.contains(&inode));
    });
    looked.ok().map(|()| holds)
}

/// How long ago a process was started. `None` where the host has slept since then: connections do not grow older
/// while it does, and processes do.
pub(crate) fn age(pid: u32) -> Option<Duration> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_process_that_cannot_be_read_nothing_is_known() {
        // PIDs end at 2^22 (include/linux/threads.h:PID_MAX_LIMIT, 5.10 to 7.2).
        assert_eq!(has_accepted(1 << 23, &[]), None);
        assert_eq!(holds_any(1 << 23, &HashSet::new()), None);
        assert_eq!(holds_any(std::process::id(), &HashSet::new()), Some(false));
    }

    #[test]
    fn of_its_birth() {
        let stat = b"7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 1 2 3";
        assert_eq!(started_ticks(stat), Some(123_456));
        assert_eq!(started_ticks(b"7 (a) S 1 7"), None);
        assert_eq!(started_ticks(b"7 (a"), None);
    }
}
