//! Lengths of time, as counts of steps: how long connections waited, or how much later they came.

use probe_common::wait;
use serde::{Deserialize, Serialize};

/// In the steps of [`wait`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// As far as the last one that is not 0: most listeners have none.
    #[serde(with = "super::steps")]
    steps: Vec<u64>,
    max_ns: u64,
}

impl Histogram {
    /// Adds one of so many nanoseconds.
    pub fn add(&mut self, ns: u64) {
        self.add_to(wait::step(ns), 1);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds what was counted elsewhere in the same steps, with the longest of them.
    pub fn add_steps(&mut self, steps: impl Iterator<Item = u32>, max_ns: u64) {
        for (step, n) in steps.enumerate().filter(|(_, n)| *n > 0) {
            self.add_to(step, n.into());
        }
        self.max_ns = self.max_ns.max(max_ns);
    }

    /// Adds those of another one.
    pub fn join(&mut self, other: &Self) {
        for (step, n) in other.steps.iter().enumerate().filter(|(_, n)| **n > 0) {
            self.add_to(step, *n);
        }
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    fn add_to(&mut self, step: usize, n: u64) {
        if self.steps.len() <= step {
            self.steps.resize(step + 1, 0);
        }
        self.steps[step] += n;
    }

    /// Nanoseconds, within a thirtieth up to 137 s; `None` without any.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let count: u64 = self.steps.iter().sum();
        let rank = (count * percent).div_ceil(100).max(1);
        let mut below = 0;
        let step = self.steps.iter().position(|n| {
            below += n;
            below >= rank
        })?;
        let (first, end) = wait::bounds(step);
        Some(u64::midpoint(first, end).min(self.max_ns))
    }

    /// How many there are, how many are shorter than `1024 << power` nanoseconds for each of these powers, and the sum
    /// of all, within a thirtieth.
    pub fn below(&self, powers: impl Iterator<Item = u32>) -> (Vec<u64>, u64, f64) {
        let shorter = |power: u32| {
            let steps = self.steps.iter().enumerate();
            let within = steps.filter(|(step, _)| wait::bounds(*step).1 <= 1024 << power);
            within.map(|(_, n)| n).sum()
        };
        let middle = |step: usize| {
            let (first, end) = wait::bounds(step);
            u64::midpoint(first, end) as f64
        };
        let steps = self.steps.iter().enumerate();
        let sum_ns: f64 = steps.map(|(step, n)| middle(step) * *n as f64).sum();
        (
            powers.map(shorter).collect(),
            self.steps.iter().sum(),
            sum_ns,
        )
    }

    /// The longest, in nanoseconds; 0 without any.
    pub const fn max_ns(&self) -> u64 {
        self.max_ns
    }
}
