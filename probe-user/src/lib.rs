//! whydrop: says when, where and why the kernel drops or refuses TCP
//! connections at a listener. The rooms stand in the order in which data
//! flows: `model` has the nouns of the stream, `loader` puts the kernel side in
//! and hands out bytes, `decode` makes events of them (with `cause` beside it),
//! `host` and `enrich` add what user space knows, `observe` looks at queues and at
//! those who accept, `source` feeds a watch, `filter` says what is wanted,
//! `analyse` makes figures, stories, incidents, judgements and signals of it
//! (pure stages), `diagnose` makes verdicts of signals, `sink` writes. `listing`
//! judges listeners that stand still, `serve` hands out what was counted, `explain` knows the pages, and `command`
//! puts the rooms together.

#[cfg(test)]
mod allocations;
pub mod analyse;
pub mod btf;
pub mod cause;
pub mod cli;
pub mod command;
pub mod decode;
pub mod diagnose;
pub mod enrich;
pub mod explain;
pub mod filter;
pub mod host;
pub mod listing;
pub mod loader;
pub mod model;
pub mod observe;
pub mod sandbox;
pub mod selftest;
pub mod serve;
pub mod sink;
pub mod source;
