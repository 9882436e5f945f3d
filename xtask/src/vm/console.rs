//! Understands what a VM says on its console: the marks of vm-init, and libtest's output between them.
//!
//! Lines go in, events come out. It does no I/O and reads no clock, so a recorded console tests it on any machine.

/// How one tier went.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TierResult {
    pub tier: String,
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    pub seconds: f64,
    /// `None` for a clean exit with a summary, otherwise what is wrong and the output that shows it.
    pub trouble: Option<String>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// The first process runs; the kernel's release.
    Ready(String),
    /// Something vm-init could not do, such as loading a module.
    Note(String),
    Tier(TierResult),
    /// A command of `--run` ended with this status.
    RunExit(i32),
    /// vm-init gave up, and why.
    Failed(String),
    Done,
}

/// What vm-init puts before its own lines.
const MARK: &str = "vm-init: ";
/// How much output explains a test run that ended without a summary.
const TAIL_LINES: usize = 80;

#[derive(Default)]
pub(super) struct Console {
    /// Output since the last mark.
    lines: Vec<String>,
}

impl Console {
    pub(super) fn line(&mut self, line: &str) -> Option<Event> {
        // A kernel message can end up on the same line, before the mark.
        let Some((_, mark)) = line.split_once(MARK) else {
            self.lines.push(line.to_owned());
            return None;
        };
        let words: Vec<&str> = mark.split_whitespace().collect();
        match words[..] {
            ["ready", release] => Some(Event::Ready(release.to_owned())),
            ["begin", ..] => {
                self.lines.clear();
                None
            }
            ["tier", tier, "exit", code, seconds] => Some(Event::Tier(tier_result(
                tier,
                code,
                seconds,
                &std::mem::take(&mut self.lines),
            ))),
            ["run", "exit", code, ..] => Some(Event::RunExit(code.parse().unwrap_or(-1))),
            ["done"] => Some(Event::Done),
            ["failed:", ..] => Some(Event::Failed(words[1..].join(" "))),
            _ => Some(Event::Note(mark.to_owned())),
        }
    }

    /// What came since the last mark.
    pub(super) fn output(&self) -> &[String] {
        &self.lines
    }

    /// The last lines before the VM ended or hung.
    pub(super) fn tail(&self) -> String {
        tail(&self.lines)
    }
}

fn tier_result(tier: &str, code: &str, seconds: &str, lines: &[String]) -> TierResult {
    let mut result = TierResult {
        tier: tier.to_owned(),
        seconds: seconds.parse().unwrap_or(0.0),
        // A scenario that the kernel is too old for passes, and says so (tests/src/skip.rs).
        skipped: lines
            .iter()
            .filter(|line| line.contains("SKIPPED: "))
            .count(),
        ..TierResult::default()
    };
    let Some(summary) = lines
        .iter()
        .rev()
        .find_map(|line| line.split_once("test result: "))
    else {
        result.trouble = Some(format!(
            "no test summary (exit {code}); the last output:\n{}",
            tail(lines)
        ));
        return result;
    };
    let count = |what: &str| {
        let number = summary
            .1
            .split([';', '.'])
            .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok());
        number.unwrap_or(0)
    };
    result.failed = count("failed");
    result.passed = count("passed").saturating_sub(result.skipped);
    result.skipped += count("ignored");
    if result.failed > 0 || code != "0" {
        // libtest lists the output of the failed tests after the line "failures:", and then their names after another.
        let from = lines
            .iter()
            .position(|line| line == "failures:")
            .unwrap_or(lines.len().saturating_sub(TAIL_LINES));
        result.trouble = Some(lines[from..].join("\n"));
    } else if result.passed + result.skipped == 0 {
        result.trouble = Some("no test ran; does the filter match a scenario?".to_owned());
    }
    result
}

fn tail(lines: &[String]) -> String {
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<Event> {
        let mut console = Console::default();
        text.lines().filter_map(|line| console.line(line)).collect()
    }

    #[test]
    fn a_clean_run() {
        let text = "[    1.0] noise\nvm-init: ready 6.1.0-56-cloud-amd64\nvm-init: begin kprobe\nrunning 3 tests\n\
                    test a ... SKIPPED in part: x: needs 5.17\nok\ntest b ... SKIPPED: needs 5.17\nok\n\
                    test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.20s\n\
                    [    9.0] x vm-init: tier kprobe exit 0 1.3\nvm-init: done\n";
        let tier = TierResult {
            tier: "kprobe".into(),
            passed: 1,
            failed: 0,
            skipped: 2,
            seconds: 1.3,
            trouble: None,
        };
        let expected = [
            Event::Ready("6.1.0-56-cloud-amd64".into()),
            Event::Tier(tier),
            Event::Done,
        ];
        assert_eq!(events(text), expected);
    }

    fn trouble(text: &str) -> String {
        match events(text).pop() {
            Some(Event::Tier(TierResult {
                trouble: Some(trouble),
                ..
            })) => trouble,
            other => panic!("expected a tier in trouble, not {other:?}"),
        }
    }

    #[test]
    fn failures_are_kept_in_full() {
        let text = "vm-init: begin cgroup\ntest a ... FAILED\n\nfailures:\n\n---- a stdout ----\nboom\n\nfailures:\n    a\n\n\
                    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured\nvm-init: tier cgroup exit 101 2.0\n";
        assert!(trouble(text).starts_with("failures:\n\n---- a stdout ----\nboom"));
    }

    #[test]
    fn a_run_without_a_summary_or_without_tests_is_trouble() {
        assert!(
            trouble("vm-init: begin t\nSegfault\nvm-init: tier t exit 139 0.1\n")
                .contains("Segfault")
        );
        let none = "vm-init: begin t\ntest result: ok. 0 passed; 0 failed; 0 ignored\nvm-init: tier t exit 0 0.1\n";
        assert!(trouble(none).starts_with("no test ran"));
    }
}
