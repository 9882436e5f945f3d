//! Who feeds the stream: the hooks, the kernel's counters alone, or a recording; when namespaces are looked for, and how long the ring's
//! reader rests.

pub mod coalesce;
pub mod counters;
pub mod hooks;
pub mod lines;
pub mod replay;
pub mod sample;
pub mod schedule;
pub mod stop;
pub mod unread;
