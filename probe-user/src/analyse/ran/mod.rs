//! What a command has gone through: lines come in while it runs, the report goes out.

mod heard;
mod hurt;
mod judged;

pub(crate) use self::{heard::Heard, hurt::Hurt};
