//! Who feeds a watch: the hooks, or the kernel's counters alone; when namespaces are looked for, and how long the ring's
//! reader rests.

pub mod coalesce;
pub mod counters;
pub mod hooks;
pub mod lines;
pub mod sample;
pub mod schedule;
pub mod stop;
