//! Counts as objects whose keys are kinds and causes.

use std::collections::BTreeMap;

use crate::model::{Causes, Counts};

pub(crate) fn by_cause(causes: &Causes) -> BTreeMap<String, u64> {
    let named = causes
        .iter()
        .map(|((kind, cause), n)| (format!("{kind}/{cause}"), *n));
    named.collect()
}

/// Those that happened.
pub(crate) fn by_kind(counts: &Counts) -> BTreeMap<&'static str, u64> {
    let mut kinds = BTreeMap::new();
    for ((kind, _), n) in counts {
        *kinds.entry(kind.name()).or_default() += n;
    }
    kinds
}
