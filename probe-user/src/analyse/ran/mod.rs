//! What a command has gone through: lines come in while it runs, the report goes out.

mod heard;
mod judged;
mod places;

pub use self::{heard::Heard, places::Hurt};
