//! What a namespace is called for people.

use serde::{Deserialize, Serialize};

/// What a namespace is called for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetnsName {
    /// By `ip netns`.
    Given(String),
    /// It has no name; the process with the lowest number in it has.
    Process { pid: u32, comm: String },
}
