//! The lines in which the scenarios say what whydrop could tell (tests/src/table.rs), and their sum over a run:
//!
//! `TABLE <tier> <kind> <stage|-> <cause> exact|among:<a>,<b>|not-visible`

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result, bail};

const MARK: &str = "TABLE ";

/// One row of the table. A stage that is none is `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub kind: String,
    pub stage: String,
    pub cause: String,
}

/// In the order in which whydrop tries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    Trampoline,
    Kprobe,
    Cgroup,
    Counters,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Exact,
    /// All causes that were named, the true one included.
    Among(BTreeSet<String>),
    NotVisible,
}

/// What one kernel's run came to. Several findings of one cell are as good as the worst of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Findings(pub BTreeMap<Row, BTreeMap<Tier, Verdict>>);

impl Findings {
    /// Takes a line of a log; false if it has no finding. On a VM's console libtest's output may stand before it.
    pub(crate) fn line(&mut self, line: &str) -> Result<bool> {
        let Some((before, finding)) = line.split_once(MARK) else {
            return Ok(false);
        };
        if !(before.is_empty() || before.ends_with(' ')) {
            return Ok(false);
        }
        let (row, tier, verdict) =
            parse(finding).with_context(|| format!("this finding cannot be read: {line:?}"))?;
        self.add(row, tier, verdict);
        Ok(true)
    }

    pub(crate) fn read(text: &str) -> Result<Self> {
        let mut findings = Self::default();
        for line in text.lines() {
            findings.line(line)?;
        }
        Ok(findings)
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (row, tiers) in other.0 {
            for (tier, verdict) in tiers {
                self.add(row.clone(), tier, verdict);
            }
        }
    }

    /// In how many rows each tier has a finding.
    pub(crate) fn tiers(&self) -> BTreeMap<Tier, usize> {
        let mut rows = BTreeMap::new();
        for tier in self.0.values().flat_map(BTreeMap::keys) {
            *rows.entry(*tier).or_default() += 1;
        }
        rows
    }

    /// Without the other tiers.
    pub(crate) fn only(mut self, tier: Tier) -> Self {
        for tiers in self.0.values_mut() {
            tiers.retain(|other, _| *other == tier);
        }
        self.0.retain(|_, tiers| !tiers.is_empty());
        self
    }

    fn add(&mut self, row: Row, tier: Tier, verdict: Verdict) {
        let tiers = self.0.entry(row).or_default();
        let verdict = match tiers.remove(&tier) {
            Some(other) => verdict.or_worse(other),
            None => verdict,
        };
        tiers.insert(tier, verdict);
    }
}

/// The same lines again, sorted.
impl fmt::Display for Findings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (Row { kind, stage, cause }, tiers) in &self.0 {
            for (tier, verdict) in tiers {
                let verdict = match verdict {
                    Verdict::Exact => "exact".to_owned(),
                    Verdict::Among(causes) => format!("among:{}", join(causes, ",")),
                    Verdict::NotVisible => "not-visible".to_owned(),
                };
                writeln!(
                    out,
                    "{MARK}{} {kind} {stage} {cause} {verdict}",
                    tier.name()
                )?;
            }
        }
        Ok(())
    }
}

impl Tier {
    pub(crate) const ALL: [Self; 4] =
        [Self::Trampoline, Self::Kprobe, Self::Cgroup, Self::Counters];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Trampoline => "trampoline",
            Self::Kprobe => "kprobe",
            Self::Cgroup => "cgroup",
            Self::Counters => "counters",
        }
    }
}

impl Verdict {
    fn or_worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::NotVisible, _) | (_, Self::NotVisible) => Self::NotVisible,
            (Self::Among(some), Self::Among(others)) => Self::Among(&some | &others),
            (Self::Among(causes), Self::Exact) | (Self::Exact, Self::Among(causes)) => {
                Self::Among(causes)
            }
            (Self::Exact, Self::Exact) => Self::Exact,
        }
    }
}

pub(crate) fn join(causes: &BTreeSet<String>, separator: &str) -> String {
    let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
    causes.join(separator)
}

fn parse(finding: &str) -> Result<(Row, Tier, Verdict)> {
    let words: Vec<&str> = finding.split_whitespace().collect();
    let [tier, kind, stage, cause, verdict] = words[..] else {
        bail!("{} words instead of 5", words.len());
    };
    let tier = Tier::ALL.into_iter().find(|known| known.name() == tier);
    let verdict = match (verdict, verdict.strip_prefix("among:")) {
        ("exact", _) => Verdict::Exact,
        ("not-visible", _) => Verdict::NotVisible,
        (_, Some(causes)) => Verdict::Among(causes.split(',').map(str::to_owned).collect()),
        _ => bail!("no verdict is called \"{verdict}\""),
    };
    let [kind, stage, cause] = [kind, stage, cause].map(str::to_owned);
    Ok((
        Row { kind, stage, cause },
        tier.context("no such tier")?,
        verdict,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &str, sum: &str) {
        assert_eq!(Findings::read(lines).unwrap().to_string(), sum);
    }

    #[test]
    fn findings_are_found_among_other_output_and_sorted() {
        check(
            "running 2 tests\n\
             test listen_drops::syn ... TABLE kprobe overflow syn accept-queue-full exact\n\
             TABLE cgroup listen-drop syn no-route among:no-route,no-memory\nok\n\
             STRESS syncookies=0\nTIMETABLE x\n\
             TABLE trampoline reset-sent - listener-closed not-visible\n",
            "TABLE cgroup listen-drop syn no-route among:no-memory,no-route\n\
             TABLE kprobe overflow syn accept-queue-full exact\n\
             TABLE trampoline reset-sent - listener-closed not-visible\n",
        );
    }

    #[test]
    fn the_worst_finding_wins() {
        let line = |verdict: &str| format!("TABLE kprobe listen-drop syn a {verdict}\n");
        let worst = |verdicts: &[&str], worst: &str| {
            let lines: Vec<String> = verdicts.iter().map(|verdict| line(verdict)).collect();
            check(&lines.concat(), &line(worst));
        };
        worst(&["exact", "exact"], "exact");
        worst(&["exact", "among:a,b", "exact"], "among:a,b");
        worst(&["among:a,b", "among:a,c"], "among:a,b,c");
        worst(&["not-visible", "among:a,b", "exact"], "not-visible");
        worst(&["exact", "not-visible"], "not-visible");
    }

    #[test]
    fn merging_is_reading_both() {
        let (one, other) = (
            "TABLE kprobe overflow syn a exact\nTABLE cgroup overflow syn a exact\n",
            "TABLE kprobe overflow syn a not-visible\nTABLE kprobe overflow ack a exact\n",
        );
        let mut merged = Findings::read(one).unwrap();
        merged.merge(Findings::read(other).unwrap());
        assert_eq!(merged, Findings::read(&[one, other].concat()).unwrap());
        assert_eq!(
            merged.tiers(),
            [(Tier::Kprobe, 2), (Tier::Cgroup, 1)].into()
        );
        assert_eq!(merged.only(Tier::Cgroup).0.len(), 1);
    }

    #[test]
    fn a_finding_that_was_cut_or_misspelt_is_an_error() {
        for line in [
            "TABLE kprobe overflow syn",
            "TABLE kprobe overflow syn accept-queue-full perhaps",
            "TABLE uprobe overflow syn accept-queue-full exact",
            "TABLE kprobe overflow syn accept-queue-full exact [    9.0] oops",
        ] {
            let error = Findings::read(line).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
    }
}
