//! Who was refused.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How often one client was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopClient {
    pub addr: IpAddr,
    pub refusals: u64,
}

impl TopClient {
    /// Its share, between 0 and 1, of all that was refused. Of what had no line, nobody knows whose it was.
    pub fn share_of(&self, all: u64) -> f64 {
        self.refusals as f64 / all.max(self.refusals) as f64
    }
}
