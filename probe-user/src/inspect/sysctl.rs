//! Sysctls of a network namespace: from its number and a name to the number there.
//!
//! /proc/sys/net shows the namespace of the thread that opens it, so the reading is done inside.

use std::fs;
use std::os::fd::AsFd;

use super::netns::{self, Registry};

/// Numbers in the order of `names`, such as `net/core/somaxconn`; `None` for what is not there.
pub fn read<const N: usize>(
    registry: &mut Registry,
    netns: u32,
    names: [&str; N],
) -> [Option<u64>; N] {
    let read = || names.map(number);
    if netns::current().is_ok_and(|current| current == netns) {
        return read();
    }
    registry
        .open(netns)
        .ok()
        .and_then(|ns| netns::inside(ns.as_fd(), read).ok())
        .unwrap_or([None; N])
}

fn number(name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}
