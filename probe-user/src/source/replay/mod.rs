//! Recordings come in, the items that were recorded go out, in their order, with a sentence where a recording lacks
//! something. Files become lines (`find`, `input`, `lines`, `reader`), lines become items (`item`, `event`), and `source`
//! knows where a recording begins and ends. It does not know who reads the items.

mod anew;
mod choice;
mod event;
mod find;
mod input;
mod item;
mod last;
mod lines;
mod problem;
mod reader;
mod redact;
mod source;

pub use self::{
    anew::{Anew, Passed, Wanted},
    choice::{Bounds, Choice},
    find::{PartId, identify},
    item::{Item, Recorded, What, parse},
    last::{Closed, Hears, Unanswered, last},
    lines::{Lines, Step},
    problem::{Problem, ProblemKind, ReadError},
    reader::{Part, Read, Reader},
    redact::Redaction,
    source::{Source, Told, when},
};

#[cfg(test)]
mod recordings_tests;
