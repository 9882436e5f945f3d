//! What a cgroup holds its processes up with.

use serde::{Deserialize, Serialize};

/// Counters that only grow, but for `is_frozen`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// `throttled_usec` and `nr_throttled` of cpu.stat: of this cgroup, or of the one above it that was throttled most.
    pub throttled: Option<(u64, u64)>,
    /// `frozen 1` in cgroup.events, which a frozen parent sets too.
    pub is_frozen: Option<bool>,
    /// `some total=` of memory.pressure, in microseconds.
    pub memory_stalled_us: Option<u64>,
    /// `high` of memory.events.
    pub memory_high: Option<u64>,
}
