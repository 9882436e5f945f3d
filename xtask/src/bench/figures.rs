//! What the scenarios of the benchmark said (tests/tests/scenarios/bench/mod.rs has the form of the lines), by family.

use anyhow::{Context, Result};

use super::flood::Flood;
use super::hooks::Hooks;
use super::host::Hosts;
use super::judgement::{self, Ratio};
use super::lines::Lines;
use super::start::Start;

#[derive(Default)]
pub(super) struct Figures {
    hooks: Hooks,
    lines: Lines,
    flood: Flood,
    hosts: Hosts,
    start: Start,
    /// What an event takes in user space.
    pub user: Vec<Ratio>,
}

impl Figures {
    /// Whether the line was a figure; others are none of its business.
    pub(super) fn line(&mut self, line: &str) -> Result<bool> {
        let Some((_, words)) = line.split_once("BENCH ") else {
            return Ok(false);
        };
        self.figure(words)
            .with_context(|| format!("`{line}` is no figure"))?;
        Ok(true)
    }

    fn figure(&mut self, words: &str) -> Result<()> {
        let words: Vec<&str> = words.split_whitespace().collect();
        match words[..] {
            ["hook", ref words @ ..] => self.hooks.read(words),
            ["path", ref words @ ..] => self.hooks.read_path(words),
            ["line", ref words @ ..] => self.lines.read(words),
            ["flood", ref words @ ..] => self.flood.read(words),
            ["host", ref words @ ..] => self.hosts.read(words),
            ["start", ref words @ ..] => self.start.read(words),
            ["idle", ref words @ ..] => self.start.read_idle(words),
            _ => anyhow::bail!("nobody knows its form"),
        }
    }

    pub(super) fn ratios(&self) -> Vec<Ratio> {
        let hooks = self.hooks.ratios().chain(self.user.iter().cloned());
        hooks.chain(self.flood.ratios()).collect()
    }

    pub(super) fn document(&self, release: &str, date: &str) -> Result<String> {
        let sections = [
            self.hooks.document()?,
            self.lines.document()?,
            self.flood.document()?,
            self.hosts.document()?,
            self.start.document()?,
        ];
        let sections =
            sections.map(|section| format!("{section}\nAgain: `cargo xtask bench --here`.\n\n"));
        Ok(format!(
            "# Performance\n\n\
             `cargo xtask bench` measures this on the kernel it runs on, and writes this file and performance.json; nobody \
             types it. Absolute\ntimes are those of one machine: what compares is one column with the next. Other kernels, and other \
             tracers beside it:\n[instructions.md](instructions.md).\n\n\
             Linux {release}, {date}.\n\n\
             {}## What must hold anywhere\n\n\
             Ratios of two figures of one run, and instructions as callgrind counts them. `cargo xtask test` measures them anew, for less long, and fails where one misses \
             its bar.\n\n{}\nAgain: `cargo xtask bench --quick`.\n",
            sections.concat(),
            judgement::table(&self.ratios()),
        ))
    }

    /// The same figures as JSON: times in nanoseconds, memory in KiB.
    pub(super) fn data(&self, release: &str, date: &str) -> String {
        let ratios = self.ratios();
        let ratios = ratios.iter().map(Ratio::data).collect::<Vec<_>>();
        let head =
            format!("  \"version\": 1,\n  \"kernel\": \"{release}\",\n  \"date\": \"{date}\"");
        let parts = [
            head,
            self.hooks.data(),
            self.lines.data(),
            self.flood.data(),
            self.hosts.data(),
            self.start.data(),
            format!("  \"ratios\": [\n{}\n  ]", ratios.join(",\n")),
        ];
        format!("{{\n{}\n}}\n", parts.join(",\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_to_its_family() {
        let mut figures = Figures::default();
        let mut line = |line| figures.line(line).expect("a line");
        assert!(line(
            "test bench::x ... BENCH hook taken listener_ingres 1.00 243 43"
        ));
        assert!(line("BENCH line json 10000 1900 1600 0.0"));
        assert!(!line("running 1 test"));
        assert!(figures.line("BENCH taken 1").is_err());
        assert!(figures.line("BENCH idle x").is_err());
        assert!(figures.document("", "").is_err(), "most is missing");
        assert!(
            figures
                .data("6.18", "2026-01-01")
                .contains(r#""path": "taken""#)
        );
    }
}
