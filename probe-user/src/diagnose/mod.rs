//! From signals to verdicts: what is known about a port comes in, causes with
//! their evidence and advice go out, or that it cannot be told. Does no I/O and
//! reads no clock. A rule without its signals abstains.
//!
//! docs/verdicts.md describes each verdict; the names are stable.

mod rules;
mod would_tell;

pub use self::rules::explains_overflow;
use self::{
    rules::{Judged, RULES},
    would_tell::would_tell,
};
use crate::model::{
    signals::Signals,
    verdict::{Confidence, Diagnosis, Evidence, RuledOut, Verdict},
};

/// What is said when something happened and no rule explains it.
pub const UNDETERMINED: &str = "undetermined";

/// Every verdict there is.
pub fn ids() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.id).chain([UNDETERMINED])
}

/// Judges by every rule: causes first, then the symptoms that they do not explain.
pub fn diagnose(signals: &Signals) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    let mut explained: Vec<&str> = Vec::new();
    for rule in RULES {
        let (confidence, evidence, advice) = match (rule.judge)(signals) {
            Judged::Abstains => {
                diagnosis.abstained.push(rule.id);
                continue;
            }
            Judged::No(why) => {
                diagnosis.ruled_out.push(RuledOut { id: rule.id, why });
                continue;
            }
            Judged::Yes(confidence, evidence) => (confidence, evidence, rule.advice),
            Judged::Advises(confidence, evidence, advice) => (confidence, evidence, advice),
        };
        // A cause that explains another's signals is the one to name.
        if explained.contains(&rule.id) {
            continue;
        }
        explained.extend(rule.explains);
        diagnosis.verdicts.push(Verdict {
            id: rule.id,
            confidence,
            says: rule.says,
            evidence,
            advice: advice.iter().map(|one| (*one).into()).collect(),
        });
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
        says: "something was refused, and the signals do not tell why; here is what would",
        evidence: happened.collect(),
        advice: would_tell(signals).into_iter().map(Into::into).collect(),
    }
}

#[cfg(test)]
mod tests;
