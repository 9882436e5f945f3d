//! An incident while it goes on, in a few lines.

use std::fmt::{self, Write as _};

use super::{Clean, holders, place, plural, write_netns};
use crate::{
    model::alarm::{Alarm, Phase, Refusing, Said},
    sink::{Reporter, clients::top_clients},
};

pub(super) fn write_text(reporter: &Reporter, alarm: &Alarm, to: &mut String) -> fmt::Result {
    let drops = alarm.drops();
    write!(
        to,
        "{:#}  {:<17} {:<10} #{}: {}{drops} drop{}",
        reporter.clock.at(alarm.mono_ns),
        "incident",
        alarm.phase.name(),
        alarm.id,
        if alarm.at_least { "at least " } else { "" },
        plural(drops as usize),
    )?;
    if alarm.phase != Phase::Begin {
        let more = if alarm.clients_exact {
            ""
        } else {
            "more than "
        };
        write!(
            to,
            " of {more}{} client{} in {:.1} s",
            alarm.clients,
            plural(alarm.clients as usize),
            alarm.last_ns.saturating_sub(alarm.start_ns) as f64 / 1e9,
        )?;
    }
    write!(to, " → {}", alarm.addr)?;
    if alarm.phase == Phase::Begin && !alarm.listeners.is_empty() {
        write!(to, "  {}", of_whom(&alarm.listeners))?;
    }
    if alarm.netns != reporter.own_netns {
        write_netns(alarm.netns, alarm.netns_name.as_deref(), to);
    }
    to.push('\n');
    write_rest(alarm, to)
}

fn write_rest(alarm: &Alarm, to: &mut String) -> fmt::Result {
    if alarm.untold > 0 {
        writeln!(
            to,
            "  {} more incident{} began, and too many go on to tell of them",
            alarm.untold,
            plural(alarm.untold as usize)
        )?;
    }
    if alarm.phase == Phase::Begin {
        return Ok(());
    }
    let causes = alarm.causes.iter();
    let causes: Vec<String> = causes.map(|(cause, n)| format!("{n} {cause}")).collect();
    write!(to, "  ")?;
    if !alarm.listeners.is_empty() {
        write!(to, "{}: ", of_whom(&alarm.listeners))?;
    }
    write!(to, "{}", Clean(&causes.join(", ")))?;
    if let Some((len, limit)) = alarm.accept_queue {
        write!(to, "; accept queue up to {len}/{limit}")?;
    }
    to.push('\n');
    if !alarm.top_clients.is_empty() {
        let most = top_clients(&alarm.top_clients, alarm.drops());
        writeln!(to, "  refused most: {most}")?;
    }
    for said in &alarm.verdicts {
        write_said(said, to)?;
    }
    for doubt in &alarm.doubts {
        writeln!(to, "  cannot tell: {}", Clean(doubt))?;
    }
    Ok(())
}

/// Whose they are.
fn of_whom(listeners: &[Refusing]) -> String {
    let whose = |one: &Refusing| {
        let holders = holders(&one.owner);
        match one.cgroup.as_deref().and_then(place) {
            Some(place) => format!("{holders} {}", Clean(place)),
            None => holders,
        }
    };
    match listeners {
        [] => String::new(),
        [only] => whose(only),
        [first, others @ ..] => format!(
            "{} and {} other listener{}",
            whose(first),
            others.len(),
            plural(others.len())
        ),
    }
}

fn write_said(said: &Said, to: &mut String) -> fmt::Result {
    writeln!(
        to,
        "  {} ({}): {}",
        Clean(&said.id),
        Clean(&said.confidence),
        Clean(&said.says)
    )?;
    for (says, from) in &said.evidence {
        writeln!(to, "    - {}  [{}]", Clean(says), Clean(from))?;
    }
    for (nth, advice) in said.advice.iter().enumerate() {
        writeln!(to, "    {}. {}", nth + 1, Clean(advice))?;
    }
    Ok(())
}
