//! Verdicts with their evidence and advice.

use std::borrow::Cow;

/// How far a verdict can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Looks at the processes and the queue agree.
    Likely,
    /// The kernel's own decision says so.
    Certain,
}

impl Confidence {
    /// Its name in lines and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

/// A number and where it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What is said, in a sentence.
    pub says: String,
    /// Where that is known from.
    pub from: &'static str,
}

/// A cause that a rule found, with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The name, as docs/verdicts.md has it.
    pub id: &'static str,
    /// How sure it is.
    pub confidence: Confidence,
    /// One sentence.
    pub says: &'static str,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// In the order to do it.
    pub advice: Vec<Cow<'static, str>>,
}

/// A rule that had its signals and did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuledOut {
    /// The name, as docs/verdicts.md has it.
    pub id: &'static str,
    /// What contradicts it, in a sentence.
    pub why: String,
}

/// All that can be said.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    /// The cause first; empty when nothing happened.
    pub verdicts: Vec<Verdict>,
    /// Rules that had their signals and did not hold.
    pub ruled_out: Vec<RuledOut>,
    /// Rules without their signals.
    pub abstained: Vec<&'static str>,
}
