//! The kernel side's own counts, member by member.

use probe_common::Health;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Health")]
struct Members {
    ring_full: u64,
    counts_full: u64,
    sums_full: u64,
    late: u64,
    unreadable: u64,
    sampled: u64,
    clients_new: u64,
    clients_full: u64,
    filtered: u64,
    stats_full: u64,
}

/// As a recording has it.
pub fn serialize<S: Serializer>(health: &Health, serializer: S) -> Result<S::Ok, S::Error> {
    Members::serialize(health, serializer)
}

/// As a recording has it.
///
/// # Errors
/// What is read is of another shape.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Health, D::Error> {
    Members::deserialize(deserializer)
}
