//! Who has accepted a connection: from a process and connections to whether one of them is its own.
//!
//! In: a pid, and connections of a listener. Out: whether it accepted one of them itself, or may have inherited those that
//! it holds. It remembers nothing.

use std::{collections::HashMap, mem::MaybeUninit, time::Duration};

use rustix::fs::{CWD, readlinkat_raw};

use super::{
    clock::{boot_ns, mono_ns},
    procfs::{bracketed, for_each_entry, number, open_dir, read_small},
};
use crate::model::socket::AcceptedSnapshot;

/// Ages are known to a tick of each of the kernel's clocks, 10 ms at most.
const TICKS: Duration = Duration::from_millis(20);
/// The age of the process is read later: it seems to be older than it was.
const BIRTH: Duration = Duration::from_millis(50);
/// USER_HZ is 100 (include/asm-generic/param.h, arch/x86, 5.10 to 7.2).
const TICK_NS: u64 = 10_000_000;
/// The two clocks are not read at the same moment.
const SLEPT_NS: u64 = 100_000_000;

/// How a process came to the connections that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Came {
    /// It holds none, or none of which it is known whether they were there before it.
    Unknown,
    /// It may have been started with all of those whose age is known: it was not there before one of them.
    Inherited,
    /// It accepted one itself, which is younger than the process, so that it can have been inherited from nobody.
    Accepted,
}

impl Came {
    fn of(connection: &AcceptedSnapshot, process: Duration) -> Self {
        if connection.age.is_some_and(|age| age + BIRTH < process) {
            return Self::Accepted;
        }
        let is_older = connection
            .quiet
            .is_some_and(|quiet| quiet + TICKS >= process);
        if is_older {
            Self::Inherited
        } else {
            Self::Unknown
        }
    }
}

/// How this process came to those of these connections that it holds. `None` where that cannot be read.
pub fn came(pid: u32, connections: &[AcceptedSnapshot]) -> Option<Came> {
    let age = age(pid)?;
    let of_each = connections
        .iter()
        .map(|one| (one.inode, Came::of(one, age)));
    let of_each: HashMap<u32, Came> = of_each.collect();
    if of_each.values().all(|came| *came == Came::Unknown) {
        return Some(Came::Unknown);
    }
    strongest(pid, &of_each)
}

fn strongest(pid: u32, of_each: &HashMap<u32, Came>) -> Option<Came> {
    let fds = open_dir(CWD, format!("/proc/{pid}/fd")).ok()?;
    let mut found = Came::Unknown;
    let looked = for_each_entry(&fds, |name, _, _| {
        let mut link = [MaybeUninit::uninit(); 64];
        let inode = match readlinkat_raw(&fds, name, &mut link) {
            Ok((link, _)) => bracketed(link, b"socket"),
            Err(_) => None,
        };
        let came = inode.and_then(|inode: u32| of_each.get(&inode).copied());
        found = found.max(came.unwrap_or(Came::Unknown));
    });
    looked.ok().map(|()| found)
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
        assert_eq!(came(1 << 23, &[]), None);
        assert_eq!(strongest(1 << 23, &HashMap::new()), None);
        let nothing = strongest(std::process::id(), &HashMap::new());
        assert_eq!(nothing, Some(Came::Unknown));
    }

    #[test]
    fn who_was_there_first() {
        let ms = Duration::from_millis;
        let check = |age: Option<u64>, quiet: u64, expect| {
            let any = ([127, 0, 0, 1], 80).into();
            let connection = AcceptedSnapshot {
                local: any,
                remote: any,
                inode: 1,
                age: age.map(ms),
                quiet: Some(ms(quiet)),
            };
            assert_eq!(Came::of(&connection, ms(10_000)), expect);
        };
        check(Some(9_000), 9_000, Came::Accepted);
        // Forked at once for it, or with it before it was accepted.
        check(Some(10_002), 10_002, Came::Inherited);
        check(Some(9_990), 9_990, Came::Inherited);
        check(Some(60_000), 60_000, Came::Inherited);
        check(Some(9_970), 9_970, Came::Unknown);
        // Once something was sent on it, it may be of any age above that.
        check(None, 100, Came::Unknown);
        check(None, 10_500, Came::Inherited);
    }

    #[test]
    fn one_of_its_own_is_enough() -> Result<(), Box<dyn std::error::Error>> {
        use std::os::{fd::AsFd, linux::fs::MetadataExt};
        let (one, other) = std::os::unix::net::UnixStream::pair()?;
        let inode = |of: &std::os::unix::net::UnixStream| -> std::io::Result<u32> {
            let file = std::fs::File::from(of.as_fd().try_clone_to_owned()?);
            Ok(file.metadata()?.st_ino() as u32)
        };
        let mut of_each = HashMap::from([(inode(&one)?, Came::Inherited)]);
        let me = std::process::id();
        assert_eq!(strongest(me, &of_each), Some(Came::Inherited));
        of_each.insert(inode(&other)?, Came::Accepted);
        assert_eq!(strongest(me, &of_each), Some(Came::Accepted));
        Ok(())
    }

    #[test]
    fn of_its_birth() {
        let stat = b"7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 1 2 3";
        assert_eq!(started_ticks(stat), Some(123_456));
        assert_eq!(started_ticks(b"7 (a) S 1 7"), None);
        assert_eq!(started_ticks(b"7 (a"), None);
    }
}
