//! What this process may still do while it watches.

use serde::{Deserialize, Serialize};

/// Whether the watch takes privileges away once everything is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confine {
    /// Whoever conducts goes on with them.
    No,
    /// It would, but a command is started, whose privileges are its own.
    Starts,
    Yes,
}

impl Confine {
    /// The same, where a command is started too.
    pub const fn unless(self, starts: bool) -> Self {
        match self {
            Self::Yes if starts => Self::Starts,
            confine => confine,
        }
    }
}

/// How much of the sandbox is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extent {
    All,
    Part,
    Off,
}

impl Extent {
    /// Every one.
    pub const EVERY: [Self; 3] = [Self::All, Self::Part, Self::Off];

    /// As JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "on",
            Self::Part => "part",
            Self::Off => "off",
        }
    }
}

/// What is in force, by what the kernel says of each thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    pub extent: Extent,
    /// Capabilities that are kept, since something needs them; empty where it is off.
    pub capabilities: Vec<String>,
    /// Why it is not all, as a sentence.
    pub lacks: Option<String>,
}

impl Sandbox {
    /// Nothing is in force, for this reason.
    pub fn off(why: &str) -> Self {
        Self {
            extent: Extent::Off,
            capabilities: Vec::new(),
            lacks: Some(why.into()),
        }
    }
}
