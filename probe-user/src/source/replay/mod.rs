//! Recordings come in, the items that were recorded go out, in their order, with a sentence where a recording lacks
//! something. It does not know who reads the items.

mod event;
mod item;
mod lines;
mod source;

pub use self::{
    item::{Item, Recorded, What, parse},
    source::{Source, Told, when},
};
