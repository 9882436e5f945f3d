//! What of the detail was lost.

use serde::{Deserialize, Serialize};

/// Detail that was lost since the last such line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Records that found no room in the ring.
    pub ring_full: u64,
    /// Lines that a slow reader of the output did not take.
    pub output_full: u64,
    /// Records that did not decode.
    pub undecodable: u64,
}

impl Loss {
    /// All of it.
    pub const fn total(&self) -> u64 {
        self.ring_full + self.output_full + self.undecodable
    }
}
