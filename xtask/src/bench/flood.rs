//! A flood of SYNs into a full accept queue, without whydrop and with it in turns.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::accounts::Accounts;
use super::bars::{FLOOD_PER_SECOND, FLOOD_SHARE, RSS_MIB};
use super::judgement::{Ratio, Wanted, middle, row, word};

#[derive(Default)]
pub(super) struct Flood {
    alone: Vec<Turn>,
    watched: Vec<Turn>,
    peak_kib: f64,
    accounts: Accounts,
}

#[derive(Clone, Copy, Default)]
struct Turn {
    syns: f64,
    ns: f64,
    /// CPU time of those who send, in which the kernel drops.
    senders_ns: f64,
    /// CPU time of whydrop.
    process_ns: f64,
}

impl Turn {
    fn new(numbers: [&str; 4]) -> Result<Self> {
        let [syns, ns, senders_ns, process_ns] = numbers.map(str::parse);
        Ok(Self {
            syns: syns?,
            ns: ns?,
            senders_ns: senders_ns?,
            process_ns: process_ns?,
        })
    }

    fn sum(turns: &[Self]) -> Self {
        turns.iter().fold(Self::default(), |sum, turn| Self {
            syns: sum.syns + turn.syns,
            ns: sum.ns + turn.ns,
            senders_ns: sum.senders_ns + turn.senders_ns,
            process_ns: sum.process_ns + turn.process_ns,
        })
    }

    fn per_second(&self) -> f64 {
        self.syns / self.ns * 1e9
    }

    /// The same wherever else the CPUs are needed.
    fn per_cpu_second(&self) -> f64 {
        self.syns / (self.senders_ns + self.process_ns) * 1e9
    }
}

impl Flood {
    pub(super) fn read(&mut self, words: &[&str]) -> Result<()> {
        match *words {
            ["alone", syns, ns, senders_ns] => {
                self.alone.push(Turn::new([syns, ns, senders_ns, "0"])?);
            }
            ["watched", syns, ns, senders_ns, process_ns, peak_kib] => {
                self.watched
                    .push(Turn::new([syns, ns, senders_ns, process_ns])?);
                self.peak_kib = self.peak_kib.max(peak_kib.parse()?);
            }
            ["counter", ref words @ ..] => self.accounts.read(words)?,
            _ => anyhow::bail!("a flood has other words"),
        }
        Ok(())
    }

    /// Of each turn without and the one with whydrop that follows it: the middle of all.
    fn share(&self) -> f64 {
        let turns = self.alone.iter().zip(&self.watched);
        let shares =
            turns.map(|(alone, watched)| watched.per_cpu_second() / alone.per_cpu_second());
        middle(shares)
    }

    pub(super) fn ratios(&self) -> [Ratio; 2] {
        [
            Ratio {
                what: "a flood: dropped in a second of CPU with whydrop, to that without"
                    .to_owned(),
                value: self.share(),
                bar: FLOOD_SHARE,
                wanted: Wanted::AtLeast,
            },
            Ratio {
                what: "a flood: refusals that do not add up".to_owned(),
                value: self.accounts.astray(),
                bar: 0.0,
                wanted: Wanted::AtMost,
            },
        ]
    }

    pub(super) fn document(&self) -> Result<String> {
        ensure!(
            !self.alone.is_empty() && !self.watched.is_empty(),
            "no figures of a flood"
        );
        let (alone, watched) = (Turn::sum(&self.alone), Turn::sum(&self.watched));
        let mut text = format!(
            "## A flood\n\n\
             SYNs into a full accept queue, as fast as two threads make them: {} times {:.0} s without whydrop and {:.0} s \
             with it, in turns.\n\n\
             | | without | with | |\n|---|---:|---:|---:|\n",
            self.watched.len(),
            alone.ns / 1e9 / self.alone.len() as f64,
            watched.ns / 1e9 / self.watched.len() as f64,
        );
        let each = "dropped in a second";
        compare(&mut text, each, alone.per_second(), watched.per_second());
        let each = "dropped in a second of CPU, whydrop's own included";
        let (without, with) = (alone.per_cpu_second(), watched.per_cpu_second());
        compare(&mut text, each, without, with);
        let rate = watched.per_second();
        let _ = writeln!(
            text,
            "\n| with whydrop | | bar | |\n|---|---:|---:|---|\n\
             | dropped in a second | {rate:.0} | {FLOOD_PER_SECOND:.0} | {} |",
            word(rate >= FLOOD_PER_SECOND)
        );
        let peak = self.peak_kib / 1024.0;
        row(&mut text, "memory (RSS) at most", peak, RSS_MIB, "MiB", 1);
        let share = 100.0 * watched.process_ns / watched.ns;
        let _ = writeln!(text, "| CPU of whydrop's process | {share:.1} % | | |\n");
        text += &self.accounts.document();
        Ok(text)
    }

    pub(super) fn data(&self) -> String {
        let (alone, watched) = (Turn::sum(&self.alone), Turn::sum(&self.watched));
        let figures = [
            ("seconds", watched.ns / 1e9),
            ("per_second_alone", alone.per_second()),
            ("per_second", watched.per_second()),
            ("per_cpu_second_alone", alone.per_cpu_second()),
            ("per_cpu_second", watched.per_cpu_second()),
            (
                "process_ns_per_second",
                watched.process_ns / watched.ns * 1e9,
            ),
            ("rss_peak_kib", self.peak_kib),
        ];
        let figures = figures.map(|(name, figure)| format!("    \"{name}\": {figure:.0},\n"));
        format!(
            "  \"flood\": {{\n{}{}\n  }}",
            figures.concat(),
            self.accounts.data()
        )
    }
}

fn compare(text: &mut String, what: &str, without: f64, with: f64) {
    let percent = 100.0 * with / without;
    let _ = writeln!(
        text,
        "| {what} | {without:.0} | {with:.0} | {percent:.0} % |"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flood(lines: &[&str]) -> Flood {
        let mut flood = Flood::default();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            flood.read(&words).expect("a figure");
        }
        flood
    }

    const LINES: [&str; 3] = [
        "alone 1000000 1000000000 2000000000",
        "watched 600000 1000000000 1900000000 100000000 12288",
        "counter ListenDrops 600000 600000 1000 599000 0 0",
    ];

    #[test]
    fn with_whydrop_is_set_beside_without() {
        let flood = flood(&LINES);
        assert!((flood.share() - 0.6).abs() < 1e-9);
        let text = flood.document().expect("a document");
        assert!(text.contains("1 times 1 s without whydrop and 1 s with it"));
        assert!(text.contains("| dropped in a second | 1000000 | 600000 | 60 % |"));
        assert!(text.contains("| dropped in a second | 600000 | 200000 | held |"));
        assert!(text.contains("| memory (RSS) at most | 12.0 MiB | 24 MiB | held |"));
        assert!(text.contains("| CPU of whydrop's process | 10.0 % | | |"));
        assert!(flood.ratios().iter().all(Ratio::holds));
    }

    #[test]
    fn what_was_not_measured_holds_no_bar() {
        assert!(!flood(&[]).ratios().iter().any(Ratio::holds));
        assert!(flood(&LINES[..1]).document().is_err());
    }

    #[test]
    fn a_line_of_another_form_is_an_error() {
        assert!(Flood::default().read(&["alone", "1"]).is_err());
        assert!(Flood::default().read(&["alone", "1", "x", "1"]).is_err());
    }
}
