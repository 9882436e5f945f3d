//! The clock of the snapshots: `CLOCK_MONOTONIC`, the one `bpf_ktime_get_ns()` reads in the kernel. And the one by which
//! processes are born.
//!
//! In: nothing. Out: nanoseconds that can be subtracted from an event's time. It never fails: the clocks exist on every Linux.

use std::{
    fs,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::model::Clock;

const NS_PER_S: i64 = 1_000_000_000;

/// Two readings of the pair of clocks differ by less than this when nobody has set one of them.
const SAME_WITHIN_NS: u64 = 100_000;

/// How far the wall clock is ahead of `CLOCK_MONOTONIC`.
pub fn wall() -> Clock {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i64);
    Clock::of(wall.saturating_sub_unsigned(mono_ns()))
}

/// What the wall clock shows by now, if it was set since or runs at another pace.
pub fn set_since(clock: Clock) -> Option<Clock> {
    let now = wall();
    (clock.ahead_ns().abs_diff(now.ahead_ns()) > SAME_WITHIN_NS).then_some(now)
}

/// Nanoseconds of `CLOCK_MONOTONIC`, as the kernel side reads it: without the offset of a time namespace.
pub fn mono_ns() -> u64 {
    static AHEAD_NS: OnceLock<i64> = OnceLock::new();
    let ahead_ns = *AHEAD_NS.get_or_init(|| {
        // Before 5.6, and without CONFIG_TIME_NS, there is no such file, and no such namespace.
        let offsets = fs::read_to_string("/proc/self/timens_offsets");
        offsets.map_or(0, |offsets| monotonic_of(&offsets))
    });
    read_ns(libc::CLOCK_MONOTONIC).wrapping_sub_signed(ahead_ns)
}

/// How far `CLOCK_MONOTONIC` of a time namespace is ahead: a line for each clock, with seconds and nanoseconds.
fn monotonic_of(offsets: &str) -> i64 {
    let of_line = |line: &str| {
        let mut words = line.split_whitespace();
        let is_it = words.next() == Some("monotonic");
        let mut number = || words.next()?.parse::<i64>().ok();
        let ns = number()?.checked_mul(NS_PER_S)?.checked_add(number()?)?;
        is_it.then_some(ns)
    };
    offsets.lines().find_map(of_line).unwrap_or(0)
}

/// Nanoseconds of `CLOCK_BOOTTIME`, which goes on while the host sleeps.
pub fn boot_ns() -> u64 {
    read_ns(libc::CLOCK_BOOTTIME)
}

/// Nanoseconds for which the calling thread has been on a CPU.
pub fn thread_ns() -> u64 {
    read_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// By libc: rustix looks for the vDSO by itself, where valgrind, which counts instructions, has none.
fn read_ns(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec that outlives the call; callers name clocks that every kernel knows.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut now) } != 0;
    if failed {
        return 0;
    }
    (now.tv_sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_a_time_namespace() {
        let ahead = "monotonic      100000         5\nboottime            7         0\n";
        assert_eq!(monotonic_of(ahead), 100_000 * NS_PER_S + 5);
        assert_eq!(
            monotonic_of("boottime 7 0\nmonotonic -1000 0\n"),
            -1000 * NS_PER_S
        );
        for odd in [
            "",
            "monotonic",
            "monotonic 1",
            "monotonic x 0",
            "monotonic 9223372036854775807 0",
        ] {
            assert_eq!(monotonic_of(odd), 0, "{odd}");
        }
    }
}
