//! What the scenarios of one or more runs said: libtest's lines, and between them `VERDICT <truth> <given>`, or of one that
//! could not be played `ABSENT <package>`.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};

/// Verdict ids in the order of the alphabet; none where nothing is wrong.
pub(super) type Ids = Vec<String>;

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub test: String,
    pub truth: Ids,
    pub given: Ids,
}

impl Verdict {
    pub(super) fn is_right(&self) -> bool {
        self.truth == self.given
    }

    /// Whether the scenario was written after the rules that judge it: those have a room of their own.
    pub(super) fn is_later(&self) -> bool {
        self.test.contains("::later::")
    }

    /// Where there is something to say, that it is not known; what is said beside that is true.
    pub(super) fn is_undetermined(&self) -> bool {
        let unknown = "undetermined";
        let is_true = |id: &String| id == unknown || self.truth.contains(id);
        !self.truth.is_empty()
            && self.given.iter().any(|id| id == unknown)
            && self.given.iter().all(is_true)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [truth, given] = [&self.truth, &self.given].map(joined);
        write!(f, "{}: {truth}, answered {given}", self.test)
    }
}

pub(super) fn joined(ids: &Ids) -> String {
    if ids.is_empty() {
        "none".into()
    } else {
        ids.join(" + ")
    }
}

#[derive(Debug, Default)]
pub(super) struct Log {
    verdicts: Vec<Verdict>,
    unexplained: Vec<String>,
    /// Packages that the machine lacks, each with a test that was not played.
    absent: BTreeSet<(String, String)>,
    /// The test that runs, and the verdicts there were before it.
    test: Option<(String, usize)>,
    ended: bool,
}

impl Log {
    pub(super) fn begin_run(&mut self) {
        self.test = None;
        self.ended = false;
    }

    pub(super) fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// What was not played, and which package it lacks.
    pub(super) const fn absent(&self) -> &BTreeSet<(String, String)> {
        &self.absent
    }

    /// Tests that failed although all they said was right.
    pub(super) fn unexplained(&self) -> &[String] {
        &self.unexplained
    }

    /// libtest with one thread names a test before it runs; what follows may stand in the same line.
    pub(super) fn line(&mut self, line: &str) -> Result<()> {
        if let Some(name) = started(line) {
            self.test = Some((name.to_owned(), self.verdicts.len()));
        }
        if let Some((_, words)) = line.split_once("VERDICT ") {
            let verdict = self.verdict(words).with_context(|| format!("`{line}`"))?;
            self.verdicts.push(verdict);
        }
        if let Some((_, package)) = line.split_once("ABSENT ") {
            self.absent.insert((self.running(), package.to_owned()));
        }
        if line == "FAILED" || line.ends_with("... FAILED") {
            self.failed();
        }
        self.ended |= line.starts_with("test result: ");
        Ok(())
    }

    pub(super) fn ensure_ended(&self) -> Result<()> {
        ensure!(self.ended, "the scenarios did not come to their end");
        Ok(())
    }

    fn verdict(&self, words: &str) -> Result<Verdict> {
        let words: Vec<&str> = words.split_whitespace().collect();
        let [truth, given] = words[..] else {
            bail!("a line of verdicts is `VERDICT <truth> <given>`");
        };
        Ok(Verdict {
            test: self.running(),
            truth: ids(truth),
            given: ids(given),
        })
    }

    fn running(&self) -> String {
        let test = self.test.as_ref().map(|(name, _)| name.clone());
        test.unwrap_or_default()
    }

    fn failed(&mut self) {
        let Some((name, before)) = self.test.take() else {
            return;
        };
        if self.verdicts[before..].iter().all(Verdict::is_right) {
            self.unexplained.push(name);
        }
    }
}

fn started(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("test ")?.split_once(" ... ")?;
    Some(name)
}

fn ids(text: &str) -> Ids {
    let mut ids: Ids = text
        .split('+')
        .filter(|id| *id != "none")
        .map(str::to_owned)
        .collect();
    ids.sort_unstable();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &str) -> Log {
        let mut log = Log::default();
        for line in lines.lines() {
            log.line(line).unwrap();
        }
        log
    }

    #[test]
    fn verdicts_are_of_the_test_that_runs() {
        let log = log("test why::a ... VERDICT fd-exhausted fd-exhausted\nok\n\
             test why::b ... ok\n\
             test why::c ... \nVERDICT none none\nok\ntest result: ok. 3 passed\n");
        let found: Vec<String> = log.verdicts().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "why::a: fd-exhausted, answered fd-exhausted",
                "why::c: none, answered none"
            ]
        );
        assert!(log.verdicts().iter().all(Verdict::is_right));
        assert!(log.unexplained().is_empty() && log.ensure_ended().is_ok());
    }

    #[test]
    fn the_order_of_several_is_no_matter() {
        let log = log("VERDICT b+a a+b\nVERDICT a a+b\n");
        let right: Vec<bool> = log.verdicts().iter().map(Verdict::is_right).collect();
        assert_eq!(right, [true, false]);
    }

    #[test]
    fn undetermined_is_an_answer_only_where_something_is_wrong() {
        let log = log(
            "VERDICT a undetermined\nVERDICT none undetermined\nVERDICT a none\nVERDICT a+b b+undetermined\n\
             VERDICT a b+undetermined\n",
        );
        let undetermined: Vec<bool> = log
            .verdicts()
            .iter()
            .map(Verdict::is_undetermined)
            .collect();
        assert_eq!(undetermined, [true, false, false, true, false]);
    }

    #[test]
    fn failures_that_no_verdict_explains_are_named() {
        let log = log(
            "test a ... VERDICT x y\nFAILED\ntest b ... FAILED\ntest c ... VERDICT x x\nFAILED\n",
        );
        assert_eq!(log.unexplained(), ["b", "c"]);
        assert!(log.ensure_ended().is_err());
    }

    #[test]
    fn what_the_machine_lacks_is_no_verdict() {
        let log = log("test servers::later::a ... ABSENT memcached\nok\n\
             test servers::later::b ... VERDICT x x\nok\ntest servers::c ... VERDICT x x\nok\n");
        let absent = ("servers::later::a".to_owned(), "memcached".to_owned());
        assert!(log.absent().iter().eq([&absent]));
        let later: Vec<bool> = log.verdicts().iter().map(Verdict::is_later).collect();
        assert_eq!(later, [true, false]);
    }

    #[test]
    fn a_line_of_another_form_is_an_error() {
        assert!(Log::default().line("VERDICT a").is_err());
        assert!(Log::default().line("VERDICT a b c").is_err());
    }
}
