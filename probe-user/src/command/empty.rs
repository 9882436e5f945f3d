//! `whydrop attach-empty`, for benchmarks: programs that do nothing, until standard input ends.

use std::io::Read;

use super::{Failure, say};
use crate::loader::Empty;

pub fn run() -> Result<(), Failure> {
    let empty = Empty::attach()?;
    say(empty.kinds.join(" "))?;
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .map(drop)
        .map_err(|error| Failure::failed(format_args!("cannot read standard input: {error}")))
}
