//! What whydrop and other tracers cost in instructions, on every kernel (tests/tests/scenarios/instructions has the form of
//! the lines). A virtual machine counts them, so they are the same on any machine.

use anyhow::{Context, Result, bail};

use super::peers;
use crate::{proc, vm};

/// How often each kernel is booted: the first time for the figures, then to see how much they differ.
const BOOTS: usize = 2;
pub(super) const TIERS: [&str; 3] = ["trampoline", "kprobe", "cgroup"];
/// What they are held against: the cheaper one.
pub(super) const BPFTRACE: [&str; 2] = ["bpftrace-fentry", "bpftrace-kprobe"];
pub(super) const NOBODY: &str = "nobody";
/// The least that says as much as whydrop, and traces nothing.
pub(super) const LEAST: &str = "least";
/// Whydrop on the first of the tiers, asked for another listener.
pub(super) const UNASKED: &str = "unasked";

#[derive(Default)]
pub(super) struct Instructions {
    pub versions: Vec<String>,
    /// When, with which emulator, and of which whydrop.
    pub counted: String,
    figures: Vec<Figure>,
    pub unable: Vec<Unable>,
}

/// Of the packet alone, or of the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Packet,
    Machine,
}

pub(super) struct Figure {
    pub kernel: String,
    pub boot: usize,
    pub tracer: String,
    pub whose: Whose,
    pub path: String,
    /// The one in the middle of all rounds.
    pub instructions: f64,
    pub packets: usize,
    /// How many of the packets it had a line for.
    pub lines: usize,
}

pub(super) struct Unable {
    pub kernel: String,
    pub tracer: String,
    pub why: String,
}

/// On these kernels, or on all.
pub(super) fn run(kernels: &[String]) -> Result<Instructions> {
    let peers = peers::get().unwrap_or_else(|error| {
        println!("other tracers cannot be had: {error:#}");
        peers::Peers::default()
    });
    let mut instructions = Instructions {
        versions: peers.versions,
        counted: counted()?,
        ..Instructions::default()
    };
    for boot in 0..BOOTS {
        for (kernel, lines) in vm::count(kernels, &peers.files, "instructions::")? {
            for line in lines {
                instructions.line(kernel, boot, &line)?;
            }
        }
    }
    Ok(instructions)
}

fn counted() -> Result<String> {
    let date = proc::capture(proc::command("date", ["--utc", "+%F"]))?;
    let qemu = proc::capture(proc::command("qemu-system-x86_64", ["--version"]))?;
    let commit = proc::capture(proc::command("git", ["rev-parse", "--short", "HEAD"]))?;
    Ok(format!(
        "Counted on {} with {} and whydrop of commit {}.",
        date.trim(),
        qemu.lines().next().unwrap_or_default(),
        commit.trim()
    ))
}

impl Instructions {
    /// Lines that are no figure are none of its business.
    pub(super) fn line(&mut self, kernel: &str, boot: usize, line: &str) -> Result<()> {
        let Some((_, words)) = line.split_once("BENCH ") else {
            return Ok(());
        };
        self.figure(kernel, boot, words)
            .with_context(|| format!("`{line}` is no figure"))
    }

    fn figure(&mut self, kernel: &str, boot: usize, words: &str) -> Result<()> {
        let words: Vec<&str> = words.split_whitespace().collect();
        let (kind, rest) = words.split_first().context("it is empty")?;
        match (*kind, rest) {
            ("unable", [tracer, why @ ..]) => {
                if boot == 0 {
                    self.unable.push(Unable {
                        kernel: kernel.to_owned(),
                        tracer: (*tracer).to_owned(),
                        why: why.join(" "),
                    });
                }
            }
            ("packet" | "machine", [tracer, path, rounds, packets, lines]) => {
                self.figures.push(Figure {
                    kernel: kernel.to_owned(),
                    boot,
                    tracer: (*tracer).to_owned(),
                    whose: match *kind {
                        "packet" => Whose::Packet,
                        _ => Whose::Machine,
                    },
                    path: (*path).to_owned(),
                    instructions: middle(rounds)?,
                    packets: packets.parse()?,
                    lines: lines.parse()?,
                });
            }
            _ => bail!("nobody knows its form"),
        }
        Ok(())
    }

    pub(super) fn kernels(&self) -> Vec<&str> {
        let mut kernels: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !kernels.contains(&figure.kernel.as_str()) {
                kernels.push(&figure.kernel);
            }
        }
        kernels
    }

    /// All who trace, in the order in which they were measured: whydrop's tiers first.
    pub(super) fn tracers(&self, kernel: &str) -> Vec<&str> {
        let mut tracers: Vec<&str> = Vec::new();
        for figure in self.figures.iter().filter(|figure| figure.kernel == kernel) {
            let tracer = figure.tracer.as_str();
            let traces = ![NOBODY, LEAST, UNASKED].contains(&tracer);
            if traces && !tracers.contains(&tracer) {
                tracers.push(tracer);
            }
        }
        let place = |tracer: &&str| {
            let known = TIERS.iter().chain(&BPFTRACE);
            known
                .clone()
                .position(|name| name == tracer)
                .unwrap_or(known.count())
        };
        tracers.sort_by_key(place);
        tracers
    }

    pub(super) fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.figures.iter().filter(|figure| figure.boot == 0)
    }

    fn find(&self, boot: usize, of: &Figure, tracer: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| {
            figure.boot == boot
                && figure.tracer == tracer
                && (&figure.kernel, figure.whose, &figure.path) == (&of.kernel, of.whose, &of.path)
        })
    }

    /// Above what the same takes with no tracer.
    pub(super) fn above(&self, figure: &Figure) -> Option<f64> {
        let nobody = self.find(figure.boot, figure, NOBODY)?;
        Some(figure.instructions - nobody.instructions)
    }

    /// As a share of what the cheaper one of bpftrace's scripts takes.
    pub(super) fn of_bpftrace(&self, figure: &Figure) -> Option<f64> {
        let scripts = BPFTRACE
            .iter()
            .filter_map(|name| self.find(figure.boot, figure, name));
        let cheaper = scripts
            .filter_map(|script| self.above(script))
            .min_by(f64::total_cmp)?;
        Some(self.above(figure)? / cheaper)
    }

    /// By how much of it a figure differs at most when its kernel is booted again.
    pub(super) fn difference(&self, whose: Whose, path: &str) -> f64 {
        let first = self
            .figures()
            .filter(|figure| figure.whose == whose && figure.path == path);
        let again = first.flat_map(|figure| {
            (1..BOOTS)
                .filter_map(|boot| self.find(boot, figure, &figure.tracer))
                .map(|other| (other.instructions / figure.instructions - 1.0).abs())
        });
        again.fold(0.0, f64::max)
    }

    /// As JSON: figures as they were counted, with nothing taken off.
    pub(super) fn data(&self) -> String {
        let figures = self.figures.iter().map(|figure| {
            format!(
                r#"    {{"kernel": "{}", "boot": {}, "tracer": "{}", "of": "{}", "path": "{}", "instructions": {}, "packets": {}, "lines": {}}}"#,
                figure.kernel,
                figure.boot,
                figure.tracer,
                match figure.whose {
                    Whose::Packet => "packet",
                    Whose::Machine => "machine",
                },
                figure.path,
                figure.instructions,
                figure.packets,
                figure.lines
            )
        });
        let figures: Vec<String> = figures.collect();
        format!(
            "{{\n  \"version\": 1,\n  \"instructions\": [\n{}\n  ]\n}}\n",
            figures.join(",\n")
        )
    }
}

fn middle(rounds: &str) -> Result<f64> {
    let rounds: Result<Vec<f64>, _> = rounds.split(',').map(str::parse).collect();
    let mut rounds = rounds?;
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().context("no rounds")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn instructions() -> Instructions {
        let mut instructions = Instructions::default();
        for line in [
            "test instructions::x ... BENCH packet nobody refused 5000.0,5000.0,9000.0 1792 0",
            "BENCH packet least refused 5500.0 1792 1792",
            "BENCH packet trampoline refused 6000.0 1792 1792",
            "BENCH packet bpftrace-kprobe refused 7500.0 1792 1792",
            "BENCH packet bpftrace-fentry refused 7000.0 1792 1700",
            "BENCH unable tcpsynbl it ended with exit status: 1: no BTF",
            "running 1 test",
        ] {
            instructions.line("6.12", 0, line).expect("a figure");
        }
        let again = "BENCH packet trampoline refused 6060.0 1792 1792";
        instructions.line("6.12", 1, again).expect("a figure");
        instructions
    }

    #[test]
    fn whydrop_is_held_against_the_cheaper_script() {
        let instructions = instructions();
        let trampoline = instructions
            .figures()
            .find(|figure| figure.tracer == "trampoline");
        let trampoline = trampoline.expect("a figure");
        assert_eq!(instructions.above(trampoline), Some(1000.0));
        assert_eq!(instructions.of_bpftrace(trampoline), Some(0.5));
    }

    #[test]
    fn another_boot_differs_by_so_much() {
        let difference = instructions().difference(Whose::Packet, "refused");
        assert!((difference - 0.01).abs() < 1e-9);
    }

    #[test]
    fn whydrop_comes_first_and_nobody_not_at_all() {
        let expected = ["trampoline", "bpftrace-fentry", "bpftrace-kprobe"];
        assert_eq!(instructions().tracers("6.12"), expected);
    }

    #[test]
    fn a_line_of_another_form_is_an_error() {
        let mut instructions = Instructions::default();
        assert!(instructions.line("6.12", 0, "BENCH packet x").is_err());
        assert!(
            instructions
                .line("6.12", 0, "BENCH packet x y z 1 1")
                .is_err()
        );
    }
}
