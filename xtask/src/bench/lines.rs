//! What an event pays in user space, from its record to its line.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::bars::{LINE_NS, LINE_TURNS};
use super::judgement::{Ratio, Wanted, word};

#[derive(Default)]
pub struct Lines(Vec<Line>);

struct Line {
    format: String,
    rate: f64,
    process_ns: f64,
    programs_ns: f64,
    /// Of all rounds of a second, the least.
    process_least_ns: f64,
    /// Of a byte through a pipe, between these rounds, the least.
    turn_ns: f64,
}

impl Lines {
    pub fn read(&mut self, words: &[&str]) -> Result<()> {
        let [
            format,
            rate,
            process_ns,
            programs_ns,
            process_least_ns,
            turn_ns,
        ] = words[..]
        else {
            anyhow::bail!("a line has six words");
        };
        self.0.push(Line {
            format: format.to_owned(),
            rate: rate.parse()?,
            process_ns: process_ns.parse()?,
            programs_ns: programs_ns.parse()?,
            process_least_ns: process_least_ns.parse()?,
            turn_ns: turn_ns.parse()?,
        });
        Ok(())
    }

    pub fn ratios(&self) -> impl Iterator<Item = Ratio> {
        ["text", "json"].into_iter().map(|format| {
            let line = self.0.iter().find(|line| line.format == format);
            Ratio {
                what: format!("a line of {format}: user space, in turns of a byte through a pipe"),
                value: line.map_or(f64::NAN, |line| line.process_least_ns / line.turn_ns),
                bar: LINE_TURNS,
                wanted: Wanted::AtMost,
            }
        })
    }

    pub fn document(&self) -> Result<String> {
        ensure!(!self.0.is_empty(), "no figures of lines");
        let mut text = String::from(
            "## What an event pays in user space\n\n\
             All threads of whydrop with `--detail=all` at a steady rate of refusals, a reader at the other end of its \
             pipe: system calls,\nwake-ups and lines. The middle of some seconds, and their least beside that of a yardstick: a byte written to a pipe and \
             read back.\n\n\
             | lines | refusals/s | process, each | bar | | programs, each | process, at least | yardstick |\n\
             |---|---:|---:|---:|---|---:|---:|---:|\n",
        );
        for line in &self.0 {
            let _ = writeln!(
                text,
                "| {} | {:.0} | {:.1} µs | {:.0} µs | {} | {:.1} µs | {:.1} µs | {:.2} µs |",
                line.format,
                line.rate,
                line.process_ns / 1e3,
                LINE_NS / 1e3,
                word(line.process_ns <= LINE_NS),
                line.programs_ns / 1e3,
                line.process_least_ns / 1e3,
                line.turn_ns / 1e3
            );
        }
        Ok(text)
    }

    pub fn data(&self) -> String {
        let lines = self.0.iter().map(|line| {
            format!(
                r#"    {{"format": "{}", "per_second": {}, "process_ns": {}, "programs_ns": {}, "process_least_ns": {}, "yardstick_ns": {}}}"#,
                line.format,
                line.rate,
                line.process_ns,
                line.programs_ns,
                line.process_least_ns,
                line.turn_ns
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
    fn a_line_is_told_in_turns_of_the_yardstick() {
        let mut lines = Lines::default();
        let words = ["json", "10000", "1900", "1600", "1800", "450"];
        lines.read(&words).expect("a figure");
        let text = lines.document().expect("a document");
        assert!(
            text.contains("| json | 10000 | 1.9 µs | 2 µs | held | 1.6 µs | 1.8 µs | 0.45 µs |")
        );
        let ratios: Vec<Ratio> = lines.ratios().collect();
        assert!((ratios[1].value - 4.0).abs() < 1e-9);
        assert!(!ratios[0].holds(), "there are no lines of text");
    }

    #[test]
    fn a_line_of_another_form_is_an_error() {
        assert!(Lines::default().read(&["json", "10000"]).is_err());
        assert!(Lines::default().document().is_err());
    }
}
