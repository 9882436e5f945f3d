//! Recordings as a source. Files come in, lines of bytes go out in the order in which they were
//! recorded; what the lines say is for whoever reads them.

mod find;
pub mod format;
mod input;
mod lines;
mod problem;
mod reader;

pub use find::{PartId, identify};
pub use lines::{Lines, Step};
pub use problem::{Problem, ProblemKind, ReadError};
pub use reader::{Part, Read, Reader};
