//! Who feeds the stream: the hooks, the kernel's counters alone, or a recording; when namespaces are looked for, and how long the ring's
//! reader rests.

use crate::{enrich::Enricher, filter::Filter, model::request::Request, sink::Sinks};

mod args;
#[cfg(any(test, feature = "benchmark"))]
#[doc(hidden)]
pub mod benchmark;
pub mod child;
mod closed;
pub mod coalesce;
mod conduct;
pub mod counters;
pub mod early;
mod ending;
mod episodes;
pub mod hooks;
pub mod lines;
mod listening;
pub mod replay;
pub mod ring;
pub mod sample;
pub mod schedule;
pub mod stop;

pub use self::{
    args::WatchArgs,
    conduct::{Conduct, Enough, Service},
};

/// What a watch is made of before it begins.
pub struct Parts<'a> {
    /// What is wanted.
    pub filter: Filter,
    /// What is wanted.
    pub request: Request,
    /// Where lines go.
    pub sinks: Sinks<'a>,
    /// Whether incidents are told while they go on.
    pub tells_incidents: bool,
    /// What is known beside the events.
    pub enricher: Enricher,
}
