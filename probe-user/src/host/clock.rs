//! The clock of the snapshots: `CLOCK_MONOTONIC`, the one `bpf_ktime_get_ns()` reads in the kernel. And the one by which
//! processes are born.
//!
//! In: nothing. Out: nanoseconds that can be subtracted from an event's time. It never fails: the clocks exist on every Linux.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Clock;

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

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub fn mono_ns() -> u64 {
    read_ns(libc::CLOCK_MONOTONIC)
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
