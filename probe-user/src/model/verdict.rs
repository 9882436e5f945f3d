//! Verdicts with their evidence and advice.

/// How far a verdict can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Looks at the processes and the queue agree.
    Likely,
    /// The kernel's own decision says so.
    Certain,
}

impl Confidence {
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
    pub says: String,
    pub from: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub id: &'static str,
    pub confidence: Confidence,
    /// One sentence.
    pub says: &'static str,
    pub evidence: Vec<Evidence>,
    /// In the order to do it.
    pub advice: &'static [&'static str],
}

/// A rule that had its signals and did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuledOut {
    pub id: &'static str,
    pub why: String,
}

/// All that can be said.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    /// The cause first; empty when nothing happened.
    pub verdicts: Vec<Verdict>,
    pub ruled_out: Vec<RuledOut>,
    /// Rules without their signals.
    pub abstained: Vec<&'static str>,
}
