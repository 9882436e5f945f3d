//! One verdict, as text and as JSON.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

use schemars::JsonSchema;
use serde::Serialize;

use super::text::Clean;
use crate::model::verdict::Verdict;

pub(super) fn write_verdict(verdict: &Verdict, to: &mut String) -> fmt::Result {
    writeln!(
        to,
        "{} ({}): {}",
        verdict.id,
        verdict.confidence.name(),
        verdict.says
    )?;
    for evidence in &verdict.evidence {
        writeln!(to, "  - {}  [{}]", Clean(&evidence.says), evidence.from)?;
    }
    for (n, advice) in verdict.advice.iter().enumerate() {
        writeln!(to, "  {}. {}", n + 1, Clean(advice))?;
    }
    Ok(())
}

#[derive(Serialize, JsonSchema)]
pub(super) struct VerdictView<'a> {
    id: &'static str,
    confidence: &'static str,
    says: &'static str,
    evidence: Vec<EvidenceView<'a>>,
    advice: &'a [Cow<'static, str>],
    verify: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct EvidenceView<'a> {
    says: &'a str,
    from: &'static str,
}

impl<'a> VerdictView<'a> {
    pub(super) fn of(verdict: &'a Verdict, verify: Option<String>) -> Self {
        Self {
            id: verdict.id,
            confidence: verdict.confidence.name(),
            says: verdict.says,
            evidence: verdict
                .evidence
                .iter()
                .map(|evidence| EvidenceView {
                    says: &evidence.says,
                    from: evidence.from,
                })
                .collect(),
            advice: &verdict.advice,
            verify,
        }
    }
}
