//! What a network namespace says of itself.

use serde::{Deserialize, Serialize};

use crate::model::sysctls::Sysctls;

/// What a network namespace says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    pub mono_ns: u64,
    pub netns: u32,
    pub sysctls: Sysctls,
    /// `nf_conntrack_count` and `nf_conntrack_max`.
    pub conntrack: Option<(u32, u32)>,
    /// Packets that were dropped since their connection could not be tracked.
    pub untracked: Option<u64>,
    /// What could not be read, in sentences.
    pub unread: Vec<String>,
}
