//! The kernel's own counters, the truth of every test: the lines of
//! /proc/net/netstat and /proc/net/snmp, by the names that nstat uses without
//! their prefix (`ListenOverflows`, `OutRsts`).

use std::collections::BTreeMap;

use anyhow::{Context, Result};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// Of the namespace that the calling thread is in; other ones are reached
    /// through [`crate::netns::Netns::counters`].
    pub fn read() -> Result<Self> {
        let mut counters = BTreeMap::new();
        for (file, groups) in [("netstat", &["TcpExt"][..]), ("snmp", &["Tcp"])] {
            let path = format!("/proc/thread-self/net/{file}");
            let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
            parse(&text, groups, &mut counters)?;
        }
        Ok(Self(counters))
    }

    /// A counter that this kernel does not have yet has counted nothing.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Whether this kernel has the counter at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What was counted since then.
    pub fn since(&self, before: &Self) -> Self {
        let moved = |(name, now): (&String, &u64)| {
            let delta = now.wrapping_sub(before.get(name));
            (delta != 0).then(|| (name.clone(), delta))
        };
        Self(self.0.iter().filter_map(moved).collect())
    }
}

/// The format is pairs of lines: `Group: name name` and `Group: value value`.
fn parse(text: &str, groups: &[&str], into: &mut BTreeMap<String, u64>) -> Result<()> {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let group = names.split(':').next().unwrap_or_default();
        if !groups.contains(&group) {
            continue;
        }
        for (name, value) in names
            .split_whitespace()
            .zip(values.split_whitespace())
            .skip(1)
        {
            // MaxConn is -1 by definition and no counter.
            let value: i64 = value
                .parse()
                .with_context(|| format!("{name} is {value}"))?;
            into.insert(name.to_owned(), value as u64);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_lines_become_names_and_values() {
        let mut counters = BTreeMap::new();
        let text = "TcpExt: SyncookiesSent ListenDrops\nTcpExt: 3 7\nIpExt: InOctets\nIpExt: 99\n";
        parse(text, &["TcpExt"], &mut counters).unwrap();
        let counters = Counters(counters);
        assert_eq!(
            (
                counters.get("SyncookiesSent"),
                counters.get("ListenDrops"),
                counters.get("InOctets")
            ),
            (3, 7, 0)
        );
    }
}
