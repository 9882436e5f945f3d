//! The steps of a histogram, most of which are empty: those that are not, with their number.

use probe_common::wait;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Steps of a histogram without the zeros at their end.
pub fn serialize<S: Serializer>(steps: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(steps.iter().enumerate().filter(|(_, n)| **n > 0))
}

/// The same, back.
///
/// # Errors
/// There are more steps than a histogram has.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    let mut steps = vec![0; wait::STEPS];
    for (step, n) in Vec::<(usize, u64)>::deserialize(deserializer)? {
        *steps
            .get_mut(step)
            .ok_or_else(|| D::Error::custom("a histogram has no such step"))? = n;
    }
    Ok(steps)
}
