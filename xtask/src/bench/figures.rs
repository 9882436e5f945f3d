//! What the scenarios of the benchmark said (tests/tests/scenarios/bench.rs has the form of the lines), and the bars it
//! is held against.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};

/// A path through the hooks, what it is in words, and how much longer than empty programs it may take.
const PATHS: [(&str, &str, f64); 4] = [
    ("elsewhere", "a packet of a connection", 30.0),
    (
        "freed",
        "a packet that is freed elsewhere, and its answer",
        80.0,
    ),
    ("taken", "a SYN that its listener answers", 150.0),
    (
        "refused",
        "a SYN into a full accept queue, with its record",
        1500.0,
    ),
];

const LINE_NS: f64 = 2000.0;
const READY_MS: f64 = 300.0;
const RSS_MIB: f64 = 24.0;
const IDLE_PERCENT: f64 = 0.1;

#[derive(Default)]
pub struct Figures {
    hooks: Vec<Hook>,
    lines: Vec<Line>,
    start: Option<[f64; 3]>,
    idle: Option<f64>,
}

struct Hook {
    path: String,
    program: String,
    runs: f64,
    ns: f64,
    empty_ns: f64,
}

struct Line {
    format: String,
    rate: f64,
    process_ns: f64,
    programs_ns: f64,
}

impl Figures {
    /// Lines that are no figure are none of its business.
    pub fn line(&mut self, line: &str) -> Result<()> {
        let Some((_, words)) = line.split_once("BENCH ") else {
            return Ok(());
        };
        self.figure(words)
            .with_context(|| format!("`{line}` is no figure"))
    }

    fn figure(&mut self, words: &str) -> Result<()> {
        let words: Vec<&str> = words.split_whitespace().collect();
        match words[..] {
            ["hook", path, program, runs, ns, empty_ns] => self.hooks.push(Hook {
                path: path.to_owned(),
                program: program.to_owned(),
                runs: runs.parse()?,
                ns: ns.parse()?,
                empty_ns: empty_ns.parse()?,
            }),
            ["line", format, rate, process_ns, programs_ns] => self.lines.push(Line {
                format: format.to_owned(),
                rate: rate.parse()?,
                process_ns: process_ns.parse()?,
                programs_ns: programs_ns.parse()?,
            }),
            ["start", ready, now, peak] => {
                self.start = Some([ready.parse()?, now.parse()?, peak.parse()?]);
            }
            ["idle", ns] => self.idle = Some(ns.parse()?),
            _ => anyhow::bail!("nobody knows its form"),
        }
        Ok(())
    }

    /// What a packet on this path takes longer than with empty programs in the same places.
    fn above_empty(&self, path: &str) -> f64 {
        let hooks = self.hooks.iter().filter(|hook| hook.path == path);
        hooks
            .map(|hook| hook.runs * (hook.ns - hook.empty_ns))
            .sum()
    }

    pub fn document(&self, release: &str, date: &str) -> Result<String> {
        let [ready, now, peak] = self.start.context("no figures of the start")?;
        let idle = self.idle.context("no figures of an idle whydrop")? / 1e7;
        ensure!(
            !self.hooks.is_empty() && !self.lines.is_empty(),
            "no figures"
        );
        let mut text = format!(
            "# Performance\n\n\
             `cargo xtask bench` measures this on the kernel it runs on, and writes this file and performance.json; nobody \
             types it. Absolute\ntimes are those of one machine: what compares is one column with the next.\n\n\
             Linux {release}, {date}.\n\n\
             ## What a packet pays\n\n\
             Time of whydrop's programs for one packet, less that of empty programs of the same kinds that ran for the same \
             packets\n(BPF_ENABLE_STATS).\n\n\
             | packet | above empty programs | bar | |\n|---|---:|---:|---|\n"
        );
        for (path, what, bar) in PATHS {
            row(&mut text, what, self.above_empty(path), bar, "ns", 0);
        }
        text += "\n| packet | program | runs | ns each | empty |\n|---|---|---:|---:|---:|\n";
        for (path, what, _) in PATHS {
            for hook in self.hooks.iter().filter(|hook| hook.path == path) {
                let _ = writeln!(
                    text,
                    "| {what} | `{}` | {:.2} | {:.0} | {:.0} |",
                    hook.program, hook.runs, hook.ns, hook.empty_ns
                );
            }
        }
        text += "\nThe kernel keeps 15 bytes of a program's name.\n\n\
                 ## What an event pays in user space\n\n\
                 All threads of whydrop with `--detail=all` at a steady rate of refusals, a reader at the other end of its \
                 pipe: system calls,\nwake-ups and lines.\n\n\
                 | lines | refusals/s | process, each | bar | | programs, each |\n|---|---:|---:|---:|---|---:|\n";
        for line in &self.lines {
            let _ = writeln!(
                text,
                "| {} | {:.0} | {:.1} µs | {:.0} µs | {} | {:.1} µs |",
                line.format,
                line.rate,
                line.process_ns / 1e3,
                LINE_NS / 1e3,
                judged(line.process_ns, LINE_NS),
                line.programs_ns / 1e3
            );
        }
        text += "\n## What it takes to be there\n\n| | | bar | |\n|---|---:|---:|---|\n";
        row(&mut text, "start until ready", ready, READY_MS, "ms", 0);
        row(
            &mut text,
            "memory (RSS) when ready",
            now / 1024.0,
            RSS_MIB,
            "MiB",
            1,
        );
        row(
            &mut text,
            "memory at its peak, while programs are loaded",
            peak / 1024.0,
            RSS_MIB,
            "MiB",
            1,
        );
        row(
            &mut text,
            "CPU when nothing happens",
            idle,
            IDLE_PERCENT,
            "%",
            2,
        );
        Ok(text)
    }

    /// The same figures as JSON: times in nanoseconds, memory in KiB.
    pub fn data(&self, release: &str, date: &str) -> String {
        let hooks = self.hooks.iter().map(|hook| {
            format!(
                r#"    {{"path": "{}", "program": "{}", "runs": {}, "ns": {}, "empty_ns": {}}}"#,
                hook.path, hook.program, hook.runs, hook.ns, hook.empty_ns
            )
        });
        let lines = self.lines.iter().map(|line| {
            format!(
                r#"    {{"format": "{}", "per_second": {}, "process_ns": {}, "programs_ns": {}}}"#,
                line.format, line.rate, line.process_ns, line.programs_ns
            )
        });
        let [ready, now, peak] = self.start.unwrap_or_default();
        format!(
            "{{\n  \"version\": 1,\n  \"kernel\": \"{release}\",\n  \"date\": \"{date}\",\n  \"hooks\": [\n{}\n  ],\n  \
             \"lines\": [\n{}\n  ],\n  \"ready_ms\": {ready},\n  \"rss_kib\": {now},\n  \"peak_kib\": {peak},\n  \
             \"idle_ns_per_second\": {}\n}}\n",
            hooks.collect::<Vec<_>>().join(",\n"),
            lines.collect::<Vec<_>>().join(",\n"),
            self.idle.unwrap_or_default()
        )
    }
}

fn row(text: &mut String, what: &str, figure: f64, bar: f64, unit: &str, digits: usize) {
    let _ = writeln!(
        text,
        "| {what} | {figure:.digits$} {unit} | {bar} {unit} | {} |",
        judged(figure, bar)
    );
}

const fn judged(figure: f64, bar: f64) -> &'static str {
    if figure <= bar { "held" } else { "**missed**" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let mut figures = Figures::default();
        for line in [
            "test bench::x ... BENCH hook taken listener_ingres 1.00 243 43",
            "BENCH hook taken raw_consume_skb 2.00 141 41",
            "BENCH line json 10000 1900 1600",
            "BENCH start 250 13164 41316",
            "BENCH idle 1165018",
            "running 1 test",
        ] {
            figures.line(line).expect("a figure");
        }
        figures
    }

    #[test]
    fn what_a_packet_pays_is_added_up() {
        assert!((figures().above_empty("taken") - 400.0).abs() < 1e-9);
    }

    #[test]
    fn what_misses_its_bar_is_said() {
        let text = figures()
            .document("6.18", "2026-01-01")
            .expect("a document");
        assert!(
            text.contains("| a SYN that its listener answers | 400 ns | 150 ns | **missed** |")
        );
        assert!(text.contains("| json | 10000 | 1.9 µs | 2 µs | held | 1.6 µs |"));
        assert!(text.contains("| CPU when nothing happens | 0.12 % | 0.1 % | **missed** |"));
    }

    #[test]
    fn a_line_of_another_form_is_an_error() {
        assert!(Figures::default().line("BENCH hook taken x").is_err());
        assert!(Figures::default().line("BENCH idle x").is_err());
        assert!(Figures::default().document("", "").is_err());
    }
}
