//! What a listener goes through before anything is lost: the row, as text and as JSON.

use std::{
    fmt::{self, Write as _},
    net::SocketAddr,
};

use serde::Serialize;

use super::json::{Cookie, Whose};
use super::text::{plural, show, whose};
use crate::model::{Accepted, ListenerStatsRow};

#[derive(Serialize)]
pub(super) struct StatsView<'a> {
    netns: u32,
    cookie: Cookie,
    addr: Option<SocketAddr>,
    #[serde(flatten)]
    whose: Whose<'a>,
    closed: bool,
    established: u64,
    accepted: Option<u64>,
    /// `hook`, or `queue` where it is told by what is not queued any more.
    accepted_from: Option<&'static str>,
    queued: Option<u32>,
    reset: u64,
    accept_queue: QueueView,
    syn_queue: QueueView,
    cookies_sent: u64,
    wait_us: Option<WaitView>,
}

#[derive(Serialize)]
struct QueueView {
    peak: u32,
    limit: u32,
}

#[derive(Serialize)]
struct WaitView {
    p50: u64,
    p99: u64,
    max: u64,
}

impl<'a> From<&'a ListenerStatsRow> for StatsView<'a> {
    fn from(row: &'a ListenerStatsRow) -> Self {
        let queue = |(peak, limit)| QueueView { peak, limit };
        Self {
            netns: row.netns,
            cookie: Cookie(row.cookie),
            addr: row.addr,
            whose: Whose::of(&row.owner, row.cgroup.as_deref()),
            closed: row.is_closed,
            established: row.established,
            accepted: row.accepted.number(),
            accepted_from: match row.accepted {
                Accepted::Counted(_) => Some("hook"),
                Accepted::Derived(_) => Some("queue"),
                Accepted::Unknown => None,
            },
            queued: row.queued,
            reset: row.reset,
            accept_queue: queue(row.accept_queue),
            syn_queue: queue(row.syn_queue),
            cookies_sent: row.cookies_sent,
            wait_us: row
                .waits
                .percentile(50)
                .zip(row.waits.percentile(99))
                .map(|(p50, p99)| WaitView {
                    p50: p50 / 1000,
                    p99: p99 / 1000,
                    max: row.waits.max_ns() / 1000,
                }),
        }
    }
}

/// `850 µs`, `12.3 ms`, `1.25 s`.
pub(super) fn time(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{} µs", ns / 1000),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.2} s", ns as f64 / 1e9),
    }
}

fn known(n: Option<u64>) -> String {
    n.map_or_else(|| "?".into(), |n| n.to_string())
}

/// The table of the summary.
pub(super) fn write_table(rows: &[ListenerStatsRow], to: &mut String) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "\n{:<24} {:<24} {:>11} {:>9} {:>7} {:>12} {:>12}  WAIT p50, p99, max",
        "LISTENER", "OWNER", "ESTABLISHED", "ACCEPTED", "QUEUED", "PEAK/LIMIT", "SYN PEAK"
    )?;
    for row in rows {
        write_row(row, to)?;
    }
    Ok(())
}

fn write_row(row: &ListenerStatsRow, to: &mut String) -> fmt::Result {
    let peak = |(peak, limit): (u32, u32)| match limit {
        0 if peak == 0 => "0".to_owned(),
        _ => format!("{peak}/{limit}"),
    };
    write!(
        to,
        "{:<24} {:<24} {:>11} {:>9} {:>7} {:>12} {:>12}  ",
        show(row.addr),
        whose(&row.owner, None),
        row.established,
        known(row.accepted.number()),
        known(row.queued.map(u64::from)),
        peak(row.accept_queue),
        peak(row.syn_queue),
    )?;
    match (row.waits.percentile(50), row.waits.percentile(99)) {
        (Some(p50), Some(p99)) => {
            write!(
                to,
                "{}, {}, {}",
                time(p50),
                time(p99),
                time(row.waits.max_ns())
            )?;
        }
        _ => to.push('-'),
    }
    if row.reset > 0 {
        write!(to, "  {} reset when it was closed", row.reset)?;
    }
    if row.cookies_sent > 0 {
        write!(
            to,
            "  {} SYN cookie{}",
            row.cookies_sent,
            plural(row.cookies_sent as usize)
        )?;
    }
    to.push('\n');
    Ok(())
}

/// A line while it is watched.
pub(super) fn write_line(row: &ListenerStatsRow, to: &mut String) -> fmt::Result {
    write!(
        to,
        "{:<17} {:<10} {:<21}   ",
        "stats",
        "",
        format!("{} established", row.established),
    )?;
    write!(
        to,
        "{:<21}  {:<20} {}",
        show(row.addr),
        format!(
            "peak {}/{} syn {}",
            row.accept_queue.0, row.accept_queue.1, row.syn_queue.0
        ),
        whose(&row.owner, row.cgroup.as_deref()),
    )?;
    if let (Some(p50), Some(p99)) = (row.waits.percentile(50), row.waits.percentile(99)) {
        write!(to, "  wait {} p99 {}", time(p50), time(p99))?;
    }
    to.push('\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(
            [999_999, 12_340_000, 1_250_000_000].map(time),
            ["999 µs", "12.3 ms", "1.25 s"]
        );
    }
}
