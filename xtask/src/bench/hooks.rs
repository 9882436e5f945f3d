//! What a packet pays: whydrop's programs against empty ones that ran for the same packets.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::bars::{PATHS, Path};
use super::judgement::{Ratio, Wanted, row};

#[derive(Default)]
pub(super) struct Hooks {
    hooks: Vec<Hook>,
    measured: Vec<String>,
}

struct Hook {
    path: String,
    program: String,
    runs: f64,
    ns: f64,
    empty_ns: f64,
}

impl Hooks {
    pub(super) fn read(&mut self, words: &[&str]) -> Result<()> {
        let [path, program, runs, ns, empty_ns] = words[..] else {
            anyhow::bail!("a hook has five words");
        };
        ensure!(PATHS.iter().any(|known| known.name == path), "no such path");
        self.hooks.push(Hook {
            path: path.to_owned(),
            program: program.to_owned(),
            runs: runs.parse()?,
            ns: ns.parse()?,
            empty_ns: empty_ns.parse()?,
        });
        Ok(())
    }

    /// On some tiers no program runs on a path that was measured.
    pub(super) fn read_path(&mut self, words: &[&str]) -> Result<()> {
        let [path] = words[..] else {
            anyhow::bail!("a path has one word");
        };
        self.measured.push(path.to_owned());
        Ok(())
    }

    fn on<'of>(&'of self, path: &'of Path) -> impl Iterator<Item = &'of Hook> {
        self.hooks.iter().filter(|hook| hook.path == path.name)
    }

    /// What a packet on this path takes longer than with empty programs in the same places.
    fn above_empty(&self, path: &Path) -> f64 {
        let hooks = self.on(path);
        hooks
            .map(|hook| hook.runs * (hook.ns - hook.empty_ns))
            .sum()
    }

    /// The time of an empty program in the same places.
    fn empty(&self, path: &Path) -> f64 {
        let runs: f64 = self.on(path).map(|hook| hook.runs).sum();
        let ns: f64 = self.on(path).map(|hook| hook.runs * hook.empty_ns).sum();
        ns / runs
    }

    /// What was not measured is not a number and holds no bar.
    fn ratio(&self, path: &Path) -> f64 {
        if !self.measured.iter().any(|measured| measured == path.name) {
            return f64::NAN;
        }
        match self.on(path).next() {
            Some(_) => self.above_empty(path) / self.empty(path),
            None => 0.0,
        }
    }

    pub(super) fn ratios(&self) -> impl Iterator<Item = Ratio> {
        PATHS.iter().map(|path| Ratio {
            what: format!("{}: time above empty programs, in runs of one", path.what),
            value: self.ratio(path),
            bar: path.empty_runs,
            wanted: Wanted::AtMost,
        })
    }

    pub(super) fn document(&self) -> Result<String> {
        ensure!(!self.measured.is_empty(), "no figures of hooks");
        let mut text = String::from(
            "## What a packet pays\n\n\
             Time of whydrop's programs for one packet, less that of empty programs of the same kinds that ran for the same \
             packets\n(BPF_ENABLE_STATS).\n\n\
             | packet | above empty programs | bar | |\n|---|---:|---:|---|\n",
        );
        for path in &PATHS {
            row(
                &mut text,
                path.what,
                self.above_empty(path),
                path.ns,
                "ns",
                0,
            );
        }
        text += "\n| packet | program | runs | ns each | empty |\n|---|---|---:|---:|---:|\n";
        for path in &PATHS {
            for hook in self.on(path) {
                let _ = writeln!(
                    text,
                    "| {} | `{}` | {:.2} | {:.0} | {:.0} |",
                    path.what, hook.program, hook.runs, hook.ns, hook.empty_ns
                );
            }
        }
        text += "\nThe kernel keeps 15 bytes of a program's name.\n";
        Ok(text)
    }

    pub(super) fn data(&self) -> String {
        let hooks = self.hooks.iter().map(|hook| {
            format!(
                r#"    {{"path": "{}", "program": "{}", "runs": {}, "ns": {}, "empty_ns": {}}}"#,
                hook.path, hook.program, hook.runs, hook.ns, hook.empty_ns
            )
        });
        let hooks = hooks.collect::<Vec<_>>().join(",\n");
        format!("  \"hooks\": [\n{hooks}\n  ]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(lines: &[&str]) -> Hooks {
        let mut hooks = Hooks::default();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            hooks.read(&words).expect("a figure");
        }
        hooks.read_path(&["taken"]).expect("a path");
        hooks
    }

    #[test]
    fn what_a_packet_pays_is_added_up() {
        let both = hooks(&[
            "taken listener_ingres 1.00 243 43",
            "taken raw_consume_skb 2.00 141 41",
        ]);
        let taken = &PATHS[2];
        assert!((both.above_empty(taken) - 400.0).abs() < 1e-9);
        assert!((both.empty(taken) - 125.0 / 3.0).abs() < 1e-9);
        let ratios: Vec<Ratio> = both.ratios().collect();
        assert!((ratios[2].value - 9.6).abs() < 1e-9);
        assert!(
            !ratios[2].holds(),
            "9.6 runs of an empty program are too many"
        );
        assert!(!ratios[0].holds(), "nothing was measured there");
        assert!(hooks(&[]).ratio(taken).abs() < 1e-9, "no program ran there");
        let text = both.document().expect("a document");
        assert!(
            text.contains("| a SYN that its listener answers | 400 ns | 150 ns | **missed** |")
        );
    }

    #[test]
    fn a_line_of_another_form_is_an_error() {
        assert!(Hooks::default().read(&["taken", "x"]).is_err());
        assert!(Hooks::default().read(&["x", "x", "1", "1", "1"]).is_err());
        assert!(Hooks::default().document().is_err());
    }
}
