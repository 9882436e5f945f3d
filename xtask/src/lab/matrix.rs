//! The confusion matrix: what was made × what was answered. Its columns are folded into one, since most are empty.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, ensure};

use super::said::{Ids, Verdict, joined};

/// Of a hundred.
const RIGHT_AT_LEAST: u32 = 95;

#[derive(Debug, Default)]
pub(super) struct Matrix {
    rows: BTreeMap<Ids, Row>,
    all: Row,
    /// Of scenarios that are older than the rules, or were written with them, and of others.
    older: Row,
    later: Row,
    /// Each of the latter: scenario and truth.
    one_by_one: BTreeMap<(String, Ids), Row>,
}

#[derive(Debug, Default)]
struct Row {
    runs: u32,
    right: u32,
    undetermined: u32,
    wrong: u32,
    given: BTreeMap<Ids, u32>,
}

impl Matrix {
    pub(super) fn of(verdicts: &[Verdict]) -> Self {
        let mut matrix = Self::default();
        for verdict in verdicts {
            matrix
                .rows
                .entry(verdict.truth.clone())
                .or_default()
                .count(verdict);
            matrix.all.count(verdict);
            if !verdict.is_later() {
                matrix.older.count(verdict);
                continue;
            }
            matrix.later.count(verdict);
            let scenario = (verdict.test.clone(), verdict.truth.clone());
            matrix
                .one_by_one
                .entry(scenario)
                .or_default()
                .count(verdict);
        }
        matrix
    }

    /// The scenarios that are younger than the rules, each in a row; nothing where there are none.
    pub(super) fn of_later(&self) -> String {
        if self.one_by_one.is_empty() {
            return String::new();
        }
        let rows = self.one_by_one.iter().map(|((test, truth), row)| {
            let name = test.rsplit("::").next().unwrap_or(test).replace('_', " ");
            format!("| {name} | {} | {row} |\n", joined(truth))
        });
        let rows: String = rows.collect();
        format!(
            "| scenario | truth | runs | right | undetermined | wrong | answers |\n\
             |---|---|---:|---:|---:|---:|---|\n{rows}"
        )
    }

    /// Fails where an answer was wrong, or too few were right.
    pub(super) fn ensure_good(&self) -> Result<()> {
        let all = &self.all;
        ensure!(all.runs > 0, "no scenario said what `why` answered");
        ensure!(
            all.wrong == 0,
            "{} of {} verdicts were wrong",
            all.wrong,
            all.runs
        );
        ensure!(
            u64::from(all.right) * 100 >= u64::from(all.runs) * u64::from(RIGHT_AT_LEAST),
            "{} of {} verdicts were right, fewer than {RIGHT_AT_LEAST} %",
            all.right,
            all.runs
        );
        Ok(())
    }
}

impl Row {
    fn count(&mut self, verdict: &Verdict) {
        self.runs += 1;
        *match verdict {
            right if right.is_right() => &mut self.right,
            unknown if unknown.is_undetermined() => &mut self.undetermined,
            _ => &mut self.wrong,
        } += 1;
        *self.given.entry(verdict.given.clone()).or_default() += 1;
    }

    fn percent(&self, part: u32) -> String {
        format!("{:.1} %", f64::from(part) * 100.0 / f64::from(self.runs))
    }
}

/// Counts, and what was answered how often.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.given.iter();
        let given: Vec<String> = given
            .map(|(ids, n)| format!("{} × {n}", joined(ids)))
            .collect();
        let Self {
            runs,
            right,
            undetermined,
            wrong,
            ..
        } = self;
        let given = given.join(", ");
        write!(f, "{runs} | {right} | {undetermined} | {wrong} | {given}")
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| truth | runs | right | undetermined | wrong | answers |"
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---|")?;
        for (truth, row) in &self.rows {
            writeln!(f, "| {} | {row} |", joined(truth))?;
        }
        let sums = [
            ("all", &self.all),
            ("written before the rules, or with them", &self.older),
            ("written after the rules", &self.later),
        ];
        for (name, sum) in sums.iter().filter(|(_, sum)| sum.runs > 0) {
            let [right, undetermined, wrong] = [sum.right, sum.undetermined, sum.wrong]
                .map(|part| format!("{part} ({})", sum.percent(part)));
            writeln!(
                f,
                "| {name} | {} | {right} | {undetermined} | {wrong} | |",
                sum.runs
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(given: &[(&str, &str)]) -> Vec<Verdict> {
        let ids = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        given
            .iter()
            .map(|(truth, given)| Verdict {
                test: String::new(),
                truth: ids(truth),
                given: ids(given),
            })
            .collect()
    }

    #[test]
    fn answers_are_counted_by_truth() {
        let given = [
            ("a", "a"),
            ("a", "undetermined"),
            ("", ""),
            ("", ""),
            ("b c", "b"),
        ];
        assert_eq!(
            Matrix::of(&verdicts(&given)).to_string(),
            "| truth | runs | right | undetermined | wrong | answers |\n\
             |---|---:|---:|---:|---:|---|\n\
             | none | 2 | 2 | 0 | 0 | none × 2 |\n\
             | a | 2 | 1 | 1 | 0 | a × 1, undetermined × 1 |\n\
             | b + c | 1 | 0 | 0 | 1 | b × 1 |\n\
             | all | 5 | 3 (60.0 %) | 1 (20.0 %) | 1 (20.0 %) | |\n\
             | written before the rules, or with them | 5 | 3 (60.0 %) | 1 (20.0 %) | 1 (20.0 %) | |\n"
        );
    }

    #[test]
    fn scenarios_that_are_younger_than_the_rules_are_counted_apart() {
        let mut all = verdicts(&[("a", "a"), ("a", "b")]);
        all[1].test = "servers::later::java::heap_that_is_full".into();
        let matrix = Matrix::of(&all);
        assert!(matrix.to_string().ends_with(
            "| written before the rules, or with them | 1 | 1 (100.0 %) | 0 (0.0 %) | 0 (0.0 %) | |\n\
             | written after the rules | 1 | 0 (0.0 %) | 0 (0.0 %) | 1 (100.0 %) | |\n"
        ));
        let later = matrix.of_later();
        assert!(later.ends_with("| heap that is full | a | 1 | 0 | 0 | 1 | b × 1 |\n"));
        assert_eq!(Matrix::of(&all[..1]).of_later(), "");
    }

    #[test]
    fn good_is_nothing_wrong_and_nearly_all_right() {
        let good = |right: usize, other: &[(&str, &str)]| {
            let mut all = vec![("a", "a"); right];
            all.extend(other);
            Matrix::of(&verdicts(&all)).ensure_good().is_ok()
        };
        assert!(good(19, &[("a", "undetermined")]));
        assert!(!good(18, &[("a", "undetermined")]));
        assert!(!good(99, &[("a", "b")]));
        assert!(!good(99, &[("a", "")]));
        assert!(!good(99, &[("", "undetermined")]));
        assert!(!good(0, &[]));
    }
}
