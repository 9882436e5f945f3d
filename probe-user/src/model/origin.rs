//! On which host a watch was, so that its lines can be told from those of others.

use super::start::Start;

/// Which boot of which host a stream is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The name of the host, uname(2).
    pub host: String,
    /// `None` where it cannot be read.
    pub boot_id: Option<String>,
    /// Its release.
    pub kernel: String,
    /// whydrop's own command line; empty where it is not known.
    pub command: Vec<String>,
}

impl Origin {
    /// As the beginning of a watch says it.
    pub fn of(start: &Start) -> Self {
        Self {
            host: start.host.clone(),
            boot_id: start.boot_id.clone(),
            kernel: start.kernel.clone(),
            command: start.command.clone(),
        }
    }
}
