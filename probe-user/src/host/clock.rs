//! The clock of the snapshots: `CLOCK_MONOTONIC`, the one `bpf_ktime_get_ns()` reads in the kernel. And the one by which
//! processes are born.
//!
//! In: nothing. Out: nanoseconds that can be subtracted from an event's time. It never fails: the clocks exist on every Linux.

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
