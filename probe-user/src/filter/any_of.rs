//! Several filters of one kind are "or": one of them is enough.

use std::fmt::Display;

/// Whether there is nothing to pass, or one of `found` passes one of the filters.
pub(super) fn passes<F, T>(
    filters: &[F],
    found: impl IntoIterator<Item = T>,
    takes: impl Fn(&F, T) -> bool,
) -> bool
where
    T: Copy,
{
    let mut found = found.into_iter();
    filters.is_empty() || found.any(|one| filters.iter().any(|filter| takes(filter, one)))
}

pub(super) fn words(filters: &[impl Display]) -> Vec<String> {
    filters.iter().map(ToString::to_string).collect()
}
