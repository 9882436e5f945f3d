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

impl NetnsName {
    /// Its own name, where it has one.
    pub fn given(&self) -> Option<&str> {
        match self {
            Self::Given(name) => Some(name),
            Self::Process { .. } => None,
        }
    }
}
