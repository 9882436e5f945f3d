//! Metrics as they are handed out, whatever their format: families of samples.

use std::sync::Arc;

/// What a family is, in the words of OpenMetrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Says something in its labels; its value is 1.
    Info,
    /// Counts by upper bound.
    Histogram,
}

/// Names and values of labels.
pub type Labels = Vec<(&'static str, Arc<str>)>;

/// What is said of one set of labels.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Count(u64),
    /// One that may be below 0.
    Signed(i64),
    /// With a fraction.
    Real(f64),
    /// Upper bounds in seconds with how many are at most as long, how many there are in all, and their sum.
    Histogram {
        /// How many are at most as long as each bound.
        buckets: Vec<(f64, u64)>,
        /// How many there are.
        count: u64,
        /// All of them together, in seconds.
        sum: f64,
    },
}

/// One line, or the lines of one histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Each name once.
    pub labels: Labels,
    /// What is said.
    pub value: Value,
}

/// Samples of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Without `_total` and `_info`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What it is.
    pub metric: Metric,
    /// What its samples are in, where the name ends with it.
    pub unit: Option<&'static str>,
    /// Each set of labels once.
    pub samples: Vec<Sample>,
}
