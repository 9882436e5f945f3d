//! What a listener goes through before anything is lost: a line while it is watched, and the table of the summary.

use std::fmt::{self, Write as _};

use super::{plural, show, time::time, whose};
use crate::model::{ListenerStatsRow, Refusals};

fn known(n: Option<u64>) -> String {
    n.map_or_else(|| "?".into(), |n| n.to_string())
}

/// The table of the summary.
pub(crate) fn write_table(rows: &[ListenerStatsRow], to: &mut String) -> fmt::Result {
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
    let refused = row.refusals.as_ref().map_or(0, Refusals::total);
    if refused > 0 {
        write!(to, "  {refused} refused")?;
    }
    to.push('\n');
    Ok(())
}
