//! What a command makes of a recording instead of a watch.

use std::path::PathBuf;

use super::Failure;
pub(crate) use crate::source::replay::Hears;
use crate::{
    model::Start,
    sink::aside,
    source::replay::{Closed, last},
};

/// Reads what was named. What is odd about it is told on standard error.
pub(crate) fn read<T: Hears>(
    paths: &[PathBuf],
    begin: impl Fn(&Start) -> T,
) -> Result<Closed<T>, Failure> {
    Ok(last(paths, begin, |note| aside(note))?)
}

/// The number that `--netns` means of a recording: names and processes of then are not there any more.
pub(crate) fn netns_of(spec: &str) -> Result<Option<u32>, Failure> {
    match spec {
        "all" => Ok(None),
        spec => spec.parse().map(Some).map_err(|_| {
            Failure::usage(format!(
                "`{spec}` is not a number; with --from, --netns takes the number that the lines show"
            ))
        }),
    }
}
