//! What it takes to be there: time until ready, memory, and CPU when nothing happens.

use anyhow::{Context, Result};

use super::bars::{IDLE_PERCENT, READY_MS, RSS_MIB};
use super::judgement::row;

#[derive(Default)]
pub(super) struct Start {
    /// Milliseconds until ready, KiB then, KiB at most.
    ready: Option<[f64; 3]>,
    /// Nanoseconds a second.
    idle: Option<f64>,
}

impl Start {
    pub(super) fn read(&mut self, words: &[&str]) -> Result<()> {
        let [ready, now, peak] = words[..] else {
            anyhow::bail!("a start has three words");
        };
        self.ready = Some([ready.parse()?, now.parse()?, peak.parse()?]);
        Ok(())
    }

    pub(super) fn read_idle(&mut self, words: &[&str]) -> Result<()> {
        let [ns] = words[..] else {
            anyhow::bail!("an idle whydrop has one word");
        };
        self.idle = Some(ns.parse()?);
        Ok(())
    }

    pub(super) fn document(&self) -> Result<String> {
        let [ready, now, peak] = self.ready.context("no figures of the start")?;
        let idle = self.idle.context("no figures of an idle whydrop")? / 1e7;
        let mut text =
            String::from("## What it takes to be there\n\n| | | bar | |\n|---|---:|---:|---|\n");
        let mut row = |what, figure, bar, unit, digits| {
            row(&mut text, what, figure, bar, unit, digits);
        };
        row("start until ready", ready, READY_MS, "ms", 0);
        row("memory (RSS) when ready", now / 1024.0, RSS_MIB, "MiB", 1);
        let loading = "memory at its peak, while programs are loaded";
        row(loading, peak / 1024.0, RSS_MIB, "MiB", 1);
        row("CPU when nothing happens", idle, IDLE_PERCENT, "%", 2);
        Ok(text)
    }

    pub(super) fn data(&self) -> String {
        let [ready, now, peak] = self.ready.unwrap_or_default();
        format!(
            "  \"ready_ms\": {ready},\n  \"rss_kib\": {now},\n  \"peak_kib\": {peak},\n  \"idle_ns_per_second\": {}",
            self.idle.unwrap_or_default()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misses_its_bar_is_said() {
        let mut start = Start::default();
        start.read(&["250", "13164", "41316"]).expect("a figure");
        assert!(start.document().is_err(), "it was never idle");
        start.read_idle(&["1165018"]).expect("a figure");
        let text = start.document().expect("a document");
        assert!(text.contains("| start until ready | 250 ms | 300 ms | held |"));
        assert!(text.contains("| CPU when nothing happens | 0.12 % | 0.1 % | **missed** |"));
    }

    #[test]
    fn a_line_of_another_form_is_an_error() {
        assert!(Start::default().read(&["1", "2"]).is_err());
        assert!(Start::default().read_idle(&["x"]).is_err());
    }
}
