//! Recordings come in, the items that were recorded go out, in their order.

mod event;
mod item;

pub use self::item::{Item, Recorded, What, parse};
