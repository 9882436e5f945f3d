//! `whydrop schema`: what a line of JSON may have in it.

use super::{Failure, say};
use crate::sink;

pub fn run() -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&sink::schema()).map_err(Failure::failed)?;
    say(&text)
}
