//! Of a flood, what the kernel counted and where whydrop says that it went.

use std::fmt::Write as _;

use anyhow::Result;

use super::judgement::word;

#[derive(Default)]
pub(super) struct Accounts(Vec<Counter>);

/// A counter in one turn.
#[derive(Clone)]
struct Counter {
    name: String,
    /// What it moved by, as the test read it and as whydrop did.
    kernel: i64,
    own_kernel: i64,
    seen: i64,
    sampled: i64,
    lost: i64,
    unattributed: i64,
}

impl Counter {
    /// How many are not where they belong.
    fn astray(&self) -> i64 {
        let told = self.seen + self.sampled + self.lost;
        (self.kernel - self.own_kernel).abs() + (self.kernel - told).abs() + self.unattributed.abs()
    }

    fn add(&mut self, more: &Self) {
        self.kernel += more.kernel;
        self.own_kernel += more.own_kernel;
        self.seen += more.seen;
        self.sampled += more.sampled;
        self.lost += more.lost;
        self.unattributed += more.unattributed;
    }
}

impl Accounts {
    pub(super) fn read(&mut self, words: &[&str]) -> Result<()> {
        let [name, kernel, own_kernel, seen, sampled, lost, unattributed] = *words else {
            anyhow::bail!("a counter has seven words");
        };
        self.0.push(Counter {
            name: name.to_owned(),
            kernel: kernel.parse()?,
            own_kernel: own_kernel.parse()?,
            seen: seen.parse()?,
            sampled: sampled.parse()?,
            lost: lost.parse()?,
            unattributed: unattributed.parse()?,
        });
        Ok(())
    }

    /// Of every turn by itself, so that no two mistakes make up for each other; not a number where nothing moved.
    pub(super) fn astray(&self) -> f64 {
        if self.0.iter().any(|counter| counter.kernel > 0) {
            self.0.iter().map(Counter::astray).sum::<i64>() as f64
        } else {
            f64::NAN
        }
    }

    /// All turns together.
    fn sums(&self) -> Vec<Counter> {
        let mut sums: Vec<Counter> = Vec::new();
        for counter in &self.0 {
            match sums.iter_mut().find(|sum| sum.name == counter.name) {
                Some(sum) => sum.add(counter),
                None => sums.push(counter.clone()),
            }
        }
        sums
    }

    pub(super) fn document(&self) -> String {
        let mut text = String::from(
            "| counter | kernel | seen | sampled | lost | unattributed |\n|---|---:|---:|---:|---:|---:|\n",
        );
        for sum in self.sums() {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} |",
                sum.name, sum.kernel, sum.seen, sum.sampled, sum.lost, sum.unattributed
            );
        }
        let exact = word(self.astray() <= 0.0);
        let _ = writeln!(
            text,
            "\nThat the first is the sum of the next three, to the last SYN: {exact}."
        );
        text
    }

    pub(super) fn data(&self) -> String {
        let counters = self.sums().into_iter().map(|sum| {
            format!(
                r#"      {{"name": "{}", "kernel": {}, "seen": {}, "sampled": {}, "lost": {}, "unattributed": {}}}"#,
                sum.name, sum.kernel, sum.seen, sum.sampled, sum.lost, sum.unattributed
            )
        });
        let counters = counters.collect::<Vec<_>>().join(",\n");
        format!("    \"counters\": [\n{counters}\n    ]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(lines: &[&str]) -> Accounts {
        let mut accounts = Accounts::default();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            accounts.read(&words).expect("a figure");
        }
        accounts
    }

    fn check(lines: &[&str], astray: f64) {
        assert_eq!(
            accounts(lines).astray().to_bits(),
            astray.to_bits(),
            "{lines:?}"
        );
    }

    #[test]
    fn what_does_not_add_up_is_astray() {
        check(&["ListenDrops 10 10 1 8 1 0"], 0.0);
        check(&["ListenDrops 10 10 1 8 0 1"], 2.0);
        check(&["ListenDrops 10 9 1 8 1 0"], 1.0);
        let opposite = ["ListenDrops 10 10 1 8 0 1", "ListenDrops 10 10 1 8 2 -1"];
        check(&opposite, 4.0);
        assert!(accounts(&[]).astray().is_nan());
        assert!(accounts(&["ListenDrops 0 0 0 0 0 0"]).astray().is_nan());
    }

    #[test]
    fn turns_are_added_up() {
        let accounts = accounts(&["ListenDrops 10 10 1 8 1 0", "ListenDrops 5 5 1 4 0 0"]);
        let text = accounts.document();
        assert!(text.contains("| ListenDrops | 15 | 2 | 12 | 1 | 0 |"));
        assert!(text.contains("to the last SYN: held."));
        assert!(
            accounts
                .data()
                .contains(r#""kernel": 15, "seen": 2, "sampled": 12"#)
        );
    }

    #[test]
    fn a_line_of_another_form_is_an_error() {
        assert!(Accounts::default().read(&["ListenDrops", "10"]).is_err());
    }
}
