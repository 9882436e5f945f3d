//! What became of an attempt, as far as is known.

use serde::{Deserialize, Serialize};

/// Which end sent a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum End {
    /// The client.
    Client,
    /// This host.
    Server,
}

impl End {
    /// Its name in lines and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// Why an outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Why {
    /// Detail was left out on purpose meanwhile.
    Sampled,
    /// Records were lost meanwhile.
    Lost,
    /// There were too many stories to keep this one.
    LetGo,
    /// The client acknowledged a connection that was refused, and nothing was heard since.
    SilentAfterAck,
    /// A SYN cookie was sent, of which the server keeps nothing, and nothing was heard since.
    SilentAfterCookie,
    /// The recording does not hold who connected in the end.
    NotRecorded,
}

impl Why {
    /// Its name in lines and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sampled => "detail-left-out",
            Self::Lost => "detail-lost",
            Self::LetGo => "let-go",
            Self::SilentAfterAck => "silent-after-ack",
            Self::SilentAfterCookie => "silent-after-cookie",
            Self::NotRecorded => "not-recorded",
        }
    }
}

/// What became of an attempt, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// So long after it was first refused.
    ConnectedLate {
        /// From its first SYN, in nanoseconds.
        delay_ns: u64,
    },
    /// Nothing was heard of the client for so long.
    GaveUp {
        /// Nothing was heard of it for so long, in nanoseconds.
        silent_ns: u64,
    },
    /// One end reset it.
    Reset {
        /// Which one.
        by: End,
    },
    /// The client believes that it is connected, and the server knows nothing of it.
    Ghost,
    /// The watch ended while it was tried.
    StillTrying,
    /// It cannot be told.
    Unknown {
        /// The reason.
        why: Why,
    },
}

impl Outcome {
    /// The names of all of them.
    pub const NAMES: [&str; 6] = [
        "connected-late",
        "gave-up",
        "reset",
        "ghost",
        "still-trying",
        "unknown",
    ];

    /// Its name in lines and options.
    pub const fn name(self) -> &'static str {
        Self::NAMES[match self {
            Self::ConnectedLate { .. } => 0,
            Self::GaveUp { .. } => 1,
            Self::Reset { .. } => 2,
            Self::Ghost => 3,
            Self::StillTrying => 4,
            Self::Unknown { .. } => 5,
        }]
    }

    /// Whether more of the attempt is waited for.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::StillTrying)
    }
}
