//! One file per family of hooks. Twins of one hook share one body.

mod cgroup;
mod listener;
mod tcp;
