//! Lengths of time, as counts of steps: how long connections waited, or how much later they came.

use probe_common::wait;
use serde::{Deserialize, Serialize};

/// In the steps of [`wait`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Histogram {
    #[serde(with = "super::steps")]
    steps: Vec<u64>,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            steps: vec![0; wait::STEPS],
            max_ns: 0,
        }
    }
}

impl Histogram {
    /// Adds one of so many nanoseconds.
    pub fn add(&mut self, ns: u64) {
        self.steps[wait::step(ns)] += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds what was counted elsewhere in the same steps, with the longest of them.
    pub fn add_steps(&mut self, steps: impl Iterator<Item = u32>, max_ns: u64) {
        for (sum, n) in self.steps.iter_mut().zip(steps) {
            *sum += u64::from(n);
        }
        self.max_ns = self.max_ns.max(max_ns);
    }

    /// Adds those of another one.
    pub fn join(&mut self, other: &Self) {
        for (sum, n) in self.steps.iter_mut().zip(&other.steps) {
            *sum += n;
        }
        self.max_ns = self.max_ns.max(other.max_ns);
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

    /// The longest, in nanoseconds; 0 without any.
    pub const fn max_ns(&self) -> u64 {
        self.max_ns
    }
}
