//! What an event pays in user space, from its record to its line.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::bars::{LINE_NS, RECORDED_BYTES, RECORDED_NS};
use super::judgement::word;

#[derive(Default)]
pub(super) struct Lines(Vec<Line>);

struct Line {
    format: String,
    rate: f64,
    process_ns: f64,
    programs_ns: f64,
    /// In the recording; none is made of the others.
    bytes: f64,
}

impl Line {
    const fn is_recorded(&self) -> bool {
        self.bytes > 0.0
    }

    const fn bar_ns(&self) -> f64 {
        if self.is_recorded() {
            LINE_NS + RECORDED_NS
        } else {
            LINE_NS
        }
    }

    fn recording(&self) -> String {
        if !self.is_recorded() {
            return "| | ".into();
        }
        let is_held = word(self.bytes <= RECORDED_BYTES);
        format!("{:.1} B | {RECORDED_BYTES:.0} B | {is_held}", self.bytes)
    }
}

impl Lines {
    pub(super) fn read(&mut self, words: &[&str]) -> Result<()> {
        let [format, rate, process_ns, programs_ns, bytes] = words[..] else {
            anyhow::bail!("a line has five words");
        };
        self.0.push(Line {
            format: format.to_owned(),
            rate: rate.parse()?,
            process_ns: process_ns.parse()?,
            programs_ns: programs_ns.parse()?,
            bytes: bytes.parse()?,
        });
        Ok(())
    }

    pub(super) fn document(&self) -> Result<String> {
        ensure!(!self.0.is_empty(), "no figures of lines");
        let mut text = String::from(
            "## What an event pays in user space\n\n\
             All threads of whydrop with `--detail=all` at a steady rate of refusals, a reader at the other end of its \
             pipe: system calls,\nwake-ups and lines. The middle of some seconds. `recorded` is JSON that goes into a recording as well.\n\n\
             | lines | refusals/s | process, each | bar | | programs, each | recording, each | bar | |\n\
             |---|---:|---:|---:|---|---:|---:|---:|---|\n",
        );
        for line in &self.0 {
            let _ = writeln!(
                text,
                "| {} | {:.0} | {:.1} µs | {:.0} µs | {} | {:.1} µs | {} |",
                line.format,
                line.rate,
                line.process_ns / 1e3,
                line.bar_ns() / 1e3,
                word(line.process_ns <= line.bar_ns()),
                line.programs_ns / 1e3,
                line.recording()
            );
        }
        Ok(text)
    }

    pub(super) fn data(&self) -> String {
        let lines = self.0.iter().map(|line| {
            format!(
                r#"    {{"format": "{}", "per_second": {}, "process_ns": {}, "programs_ns": {}, "recording_bytes": {}}}"#,
                line.format, line.rate, line.process_ns, line.programs_ns, line.bytes
            )
        });
        let lines = lines.collect::<Vec<_>>().join(",\n");
        format!("  \"lines\": [\n{lines}\n  ]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_beside_its_bar() {
        let mut lines = Lines::default();
        let words = ["json", "10000", "1900", "1600", "0.0"];
        lines.read(&words).expect("a figure");
        let text = lines.document().expect("a document");
        assert!(text.contains("| json | 10000 | 1.9 µs | 2 µs | held | 1.6 µs |"));
    }

    #[test]
    fn a_line_of_another_form_is_an_error() {
        assert!(Lines::default().read(&["json", "10000"]).is_err());
        assert!(Lines::default().document().is_err());
    }
}
