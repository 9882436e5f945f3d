//! How a watch began.

use crate::loader::{HookReport, Tier};

/// What the self-test at start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelfTest {
    /// The kernel refused so many connections, and the hooks saw as many.
    Passed { overflows: u64 },
    /// It could not be made; the reason.
    Skipped(String),
}

/// What is being watched, and how.
#[derive(Clone, Debug)]
pub struct Start {
    pub tier: Tier,
    pub hooks: Vec<HookReport>,
    pub self_test: SelfTest,
    pub kernel: String,
    /// What this kernel's type information lacks.
    pub absent: Vec<String>,
    /// What is left out on request, in words.
    pub filters: Vec<String>,
    pub listeners: usize,
    pub namespaces: usize,
    /// Kinds and causes that cannot be seen here.
    pub blind: Vec<&'static str>,
}
