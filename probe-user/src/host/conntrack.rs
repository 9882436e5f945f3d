//! The table of tracked connections of one network namespace.
//!
//! In: a namespace's inode number. Out: its figures at this moment; what this kernel does not show is `None`.

use std::fs;
use std::os::fd::AsFd;

use super::netns::{Registry, current, inside};

/// Packets that were dropped since their connection could not be tracked, of all CPUs: for the table is full or there is no memory
/// (`drop`, net/netfilter/nf_conntrack_core.c:nf_conntrack_in, 5.10 to 6.18).
pub fn dropped(registry: &mut Registry, netns: u32) -> Option<u64> {
    let here = || dropped_of(&fs::read_to_string("/proc/thread-self/net/stat/nf_conntrack").ok()?);
    if current().is_ok_and(|own| own == netns) {
        return here();
    }
    let namespace = registry.open(netns).ok()?;
    inside(namespace.as_fd(), here).ok()?
}

/// A line of names, then one of hexadecimal numbers for each CPU.
fn dropped_of(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    let column = lines
        .next()?
        .split_whitespace()
        .position(|name| name == "drop")?;
    lines
        .map(|line| u64::from_str_radix(line.split_whitespace().nth(column)?, 16).ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 6.18, the columns behind left out.
    const TWO_CPUS: &str = "\
entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error
00000001  00000000 00000000 00000000 00000004 00000000 00000000 00000000 00000000 00000000 0000000a 00000002 00000000
00000001  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000010 00000000 00000000
";

    #[test]
    fn drops_of_all_cpus() {
        assert_eq!(dropped_of(TWO_CPUS), Some(26));
        for broken in [
            "",
            "entries\n0\n",
            "entries drop\n0\n",
            "entries drop\n0 x\n",
        ] {
            assert_eq!(dropped_of(broken), None, "{broken}");
        }
    }
}
