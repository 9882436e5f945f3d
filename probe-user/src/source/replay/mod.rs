//! Recordings come in, the items that were recorded go out, in their order.

mod event;
pub mod format;
mod item;

pub use self::item::{Item, Recorded, What, parse};
