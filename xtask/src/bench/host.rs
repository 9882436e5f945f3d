//! What it takes on a host with nothing on it, and on a busy one.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::bars::{READY_MS, RSS_MIB};
use super::judgement::word;

#[derive(Default)]
pub(super) struct Hosts(Vec<Host>);

struct Host {
    listeners: u32,
    connections: u32,
    /// In the order of [`FIGURES`].
    figures: [f64; 6],
}

/// What it is, its name for machines, what to divide it by, the unit then, its bar.
type Figure = (&'static str, &'static str, f64, &'static str, Option<f64>);

const FIGURES: [Figure; 6] = [
    ("start until ready", "ready_ms", 1.0, "ms", Some(READY_MS)),
    (
        "memory (RSS) when ready",
        "rss_kib",
        1024.0,
        "MiB",
        Some(RSS_MIB),
    ),
    (
        "an event that shares nothing with others, all of user space",
        "event_ns",
        1e3,
        "µs",
        None,
    ),
    (
        "a snapshot of a listener (`sock_diag`, exact lookup)",
        "snapshot_ns",
        1e3,
        "µs",
        None,
    ),
    (
        "all listeners of the namespace",
        "listing_ns",
        1e3,
        "µs",
        None,
    ),
    (
        "a search of /proc for who holds a socket",
        "owners_ns",
        1e6,
        "ms",
        None,
    ),
];

impl Hosts {
    pub(super) fn read(&mut self, words: &[&str]) -> Result<()> {
        let [listeners, connections, ref figures @ ..] = *words else {
            anyhow::bail!("a host has eight words");
        };
        let figures: Vec<f64> = figures
            .iter()
            .map(|word| word.parse())
            .collect::<Result<_, _>>()?;
        let Ok(figures) = figures.try_into() else {
            anyhow::bail!("a host has eight words");
        };
        self.0.push(Host {
            listeners: listeners.parse()?,
            connections: connections.parse()?,
            figures,
        });
        Ok(())
    }

    pub(super) fn document(&self) -> Result<String> {
        let [empty, busy] = &self.0[..] else {
            anyhow::bail!("no figures of two hosts");
        };
        ensure!(empty.listeners < busy.listeners, "the busy host comes last");
        let mut text = format!(
            "## A busy host\n\n\
             {} listeners and {} connections in one namespace, both ends of them, and the same host before.\n\n\
             | | before | busy | bar | |\n|---|---:|---:|---:|---|\n",
            busy.listeners, busy.connections
        );
        for (nth, (what, _, divisor, unit, bar)) in FIGURES.iter().enumerate() {
            let [before, then] = [empty, busy].map(|host| host.figures[nth] / divisor);
            let bar = bar.map_or(" |".to_owned(), |bar| {
                format!("{bar} {unit} | {}", word(before.max(then) <= bar))
            });
            let _ = writeln!(
                text,
                "| {what} | {before:.1} {unit} | {then:.1} {unit} | {bar} |"
            );
        }
        Ok(text)
    }

    pub(super) fn data(&self) -> String {
        let hosts = self.0.iter().map(|host| {
            let figures = FIGURES.iter().zip(host.figures);
            let figures = figures.map(|((_, name, ..), figure)| format!(r#", "{name}": {figure}"#));
            format!(
                r#"    {{"listeners": {}, "connections": {}{}}}"#,
                host.listeners,
                host.connections,
                figures.collect::<String>()
            )
        });
        let hosts = hosts.collect::<Vec<_>>().join(",\n");
        format!("  \"hosts\": [\n{hosts}\n  ]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_host_stands_beside_an_empty_one() {
        let mut hosts = Hosts::default();
        let mut read = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            hosts.read(&words)
        };
        read("0 0 241 10620 107599 14241 25177 1373569").expect("a figure");
        read("1000 20000 300 12288 200000 20000 1000000 40000000").expect("a figure");
        assert!(read("1000 20000 300").is_err());
        assert!(read("1000 20000 x 12288 200000 20000 1000000 40000000").is_err());
        let text = hosts.document().expect("a document");
        assert!(text.contains("1000 listeners and 20000 connections in one namespace"));
        assert!(text.contains("| start until ready | 241.0 ms | 300.0 ms | 300 ms | held |"));
        assert!(text.contains(
            "| a snapshot of a listener (`sock_diag`, exact lookup) | 14.2 µs | 20.0 µs |  | |"
        ));
        assert!(
            hosts
                .data()
                .contains(r#""ready_ms": 241, "rss_kib": 10620, "event_ns": 107599"#)
        );
    }

    #[test]
    fn one_host_is_none_to_compare() {
        assert!(Hosts::default().document().is_err());
    }
}
