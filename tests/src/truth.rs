//! What whydrop said against what the kernel counted, for one namespace: as
//! many events of each kind as the counters moved, and a reconciliation that
//! leaves nothing over.

use std::fmt;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::heard::Stopped;
use crate::netns::Netns;
use crate::netstat::Counters;

/// The counters that the summary must account for.
pub const RECONCILED: [&str; 3] = ["ListenOverflows", "ListenDrops", "TCPReqQFullDrop"];

/// The counters of a namespace when tracing had begun.
pub struct Truth {
    before: Counters,
}

/// One row of the summary's reconciliation.
#[derive(Debug, PartialEq)]
pub struct Row {
    pub kernel: u64,
    pub seen: u64,
    /// Counted, and left out of the lines on purpose.
    pub sampled: u64,
    pub lost: u64,
    pub unattributed: i64,
}

impl Truth {
    /// To be called when whydrop is ready and before anything happens.
    pub fn begin(netns: &Netns) -> Result<Self> {
        Ok(Self {
            before: netns.counters()?,
        })
    }

    pub fn moved(&self, netns: &Netns) -> Result<Counters> {
        Ok(netns.counters()?.since(&self.before))
    }

    /// All of it: every event is there, every row adds up, nothing is lost.
    pub fn check(&self, netns: &Netns, stopped: &Stopped) -> Result<()> {
        stopped.ended_well()?;
        self.check_events(netns, stopped)?;
        self.check_rows(netns, stopped, false)
    }

    fn check_events(&self, netns: &Netns, stopped: &Stopped) -> Result<()> {
        let moved = self.moved(netns)?;
        let [overflows, drops, queue_drops] = RECONCILED.map(|name| moved.get(name));
        for (kind, counted) in [
            ("overflow", overflows),
            ("request-drop", queue_drops),
            ("listen-drop", drops - overflows - queue_drops),
        ] {
            let seen = stopped
                .events_in(netns.inum())
                .filter(|event| event.is(kind))
                .count() as u64;
            ensure!(
                seen == counted,
                "{seen} events of kind {kind}, the kernel counted {counted}: {moved:?}"
            );
        }
        Ok(())
    }

    /// kernel == our own reading == seen + sampled + lost, and nothing unattributed;
    /// `may_lose` is for tests that make it lose detail.
    pub fn check_rows(&self, netns: &Netns, stopped: &Stopped, may_lose: bool) -> Result<()> {
        let moved = self.moved(netns)?;
        for counter in RECONCILED {
            let counted = moved.get(counter);
            let Some(row) = row(stopped, netns, counter)? else {
                ensure!(
                    counted == 0,
                    "no reconciliation row for {counter}, which moved by {counted}"
                );
                continue;
            };
            ensure!(
                row.kernel == counted,
                "{counter} moved by {counted}, but the summary says {row:?}"
            );
            ensure!(
                row.unattributed == 0,
                "{counter} has unattributed ones: {row:?}"
            );
            ensure!(
                row.kernel == row.seen + row.sampled + row.lost,
                "{counter} does not add up: {row:?}"
            );
            ensure!(
                may_lose || row.lost + row.sampled == 0,
                "{counter} has ones without a line: {row:?}"
            );
        }
        Ok(())
    }
}

/// The row of the summary about this counter in this namespace.
pub fn row(stopped: &Stopped, netns: &Netns, counter: &str) -> Result<Option<Row>> {
    let found = find_row(stopped.summary()?, netns.inum(), counter);
    found.map(Row::new).transpose()
}

/// The same in any summary, as it is written.
pub fn find_row<'line>(summary: &'line Value, netns: u64, counter: &str) -> Option<&'line Value> {
    summary["reconciliation"]
        .as_array()?
        .iter()
        .find(|row| row["netns"] == netns && row["counter"] == counter)
}

impl Row {
    pub fn new(row: &Value) -> Result<Self> {
        let field = |name: &str| {
            row[name]
                .as_i64()
                .with_context(|| format!("no {name} in {row}"))
        };
        Ok(Self {
            kernel: field("kernel")? as u64,
            seen: field("seen")? as u64,
            sampled: field("sampled")? as u64,
            lost: field("lost")? as u64,
            unattributed: field("unattributed")?,
        })
    }
}

/// As lines for logs have it.
impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kernel,
            seen,
            sampled,
            lost,
            unattributed,
        } = self;
        write!(
            out,
            "kernel={kernel} seen={seen} sampled={sampled} lost={lost} unattributed={unattributed}"
        )
    }
}
