//! whydrop: says when, where and why the kernel drops or refuses TCP
//! connections at a listener. The rooms stand in the order in which data
//! flows: `loader` puts the kernel side in and hands out bytes, `decode` makes
//! events of them, `inspect` and `enrich` add what user space knows,
//! `correlate` joins events of one attempt, `incident` refusals of one listener, `reconcile` compares with the kernel's own counters, `diagnose` makes
//! verdicts of signals, `report` writes. `listing` judges listeners that stand still, and `explain` knows the pages.

#[cfg(test)]
mod allocations;
pub mod btf;
pub mod cause;
pub mod cli;
pub mod command;
pub mod correlate;
pub mod decode;
pub mod diagnose;
pub mod enrich;
pub mod explain;
pub mod incident;
pub mod inspect;
pub mod listing;
pub mod loader;
pub mod reconcile;
pub mod report;
pub mod selftest;
pub mod sink;
pub mod source;
