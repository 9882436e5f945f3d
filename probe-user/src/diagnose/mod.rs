//! From signals to verdicts: what is known about a port comes in, causes with
//! their evidence and advice go out, or that it cannot be told. Does no I/O and
//! reads no clock. A rule without its signals abstains.
//!
//! docs/verdicts.md describes each verdict; the names are stable.

mod rules;
mod signals;

pub use self::rules::explains_overflow;
use self::rules::{Judged, RULES};
pub use self::signals::{Causes, Cgroup, Member, Process, Signals, Thread};

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

/// What is said when something happened and no rule explains it.
pub const UNDETERMINED: &str = "undetermined";

/// Every verdict there is.
pub fn ids() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.id).chain([UNDETERMINED])
}

pub fn diagnose(signals: &Signals) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    let mut explained: Vec<&str> = Vec::new();
    for rule in RULES {
        match (rule.judge)(signals) {
            Judged::Abstains => diagnosis.abstained.push(rule.id),
            Judged::No(why) => diagnosis.ruled_out.push(RuledOut { id: rule.id, why }),
            // A cause that explains another's signals is the one to name.
            Judged::Yes(..) if explained.contains(&rule.id) => {}
            Judged::Yes(confidence, evidence) => {
                explained.extend(rule.explains);
                diagnosis.verdicts.push(Verdict {
                    id: rule.id,
                    confidence,
                    says: rule.says,
                    evidence,
                    advice: rule.advice,
                });
            }
        }
    }
    let overflow_explained = diagnosis
        .verdicts
        .iter()
        .any(|verdict| rules::explains_overflow(verdict.id));
    if signals.overflows() > 0 && !overflow_explained || rules::is_unexplained(signals, &diagnosis)
    {
        diagnosis.verdicts.push(undetermined(signals));
    }
    diagnosis
}

fn undetermined(signals: &Signals) -> Verdict {
    let happened = signals
        .causes
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|((kind, cause), n)| Evidence {
            says: format!("{n} {kind} {cause}"),
            from: "the kernel's decisions",
        });
    Verdict {
        id: UNDETERMINED,
        confidence: Confidence::Certain,
        says: "something was refused, and the signals do not tell why",
        evidence: happened.collect(),
        advice: &[
            "watch for longer, while it happens",
            "look at the listener's process and its log",
        ],
    }
}

#[cfg(test)]
mod tests;
