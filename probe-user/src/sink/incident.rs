//! Incidents: a few lines each for people, and as JSON.

use crate::model::{Clock, NetnsNames, ThreadState};
use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    json::{At, Cookie, NetnsView},
    text::{Clean, plural},
};
use crate::model::incident::{Depth, Gap, Incident, Rates};

/// What threads did is named down to the third most.
const DOING_AT_MOST: usize = 3;

/// The worst ones of so many refusals, in the order of time, and what is not shown.
pub(super) fn write_worst(
    incidents: &[&Incident],
    refusals: u64,
    at_most: usize,
    clock: Clock,
    to: &mut String,
) -> fmt::Result {
    let mut worst = incidents.to_vec();
    worst.sort_by_key(|incident| std::cmp::Reverse(incident.drops()));
    let (shown, others) = worst.split_at(at_most.min(worst.len()));
    let mut shown = shown.to_vec();
    shown.sort_by_key(|incident| incident.start_ns);
    for incident in shown {
        write_one(incident, clock, to)?;
    }
    let drops: u64 = others.iter().map(|incident| incident.drops()).sum();
    if drops > 0 {
        let n = others.len();
        writeln!(
            to,
            "and {n} more incident{}, {drops} drop{}",
            plural(n),
            plural(drops as usize)
        )?;
    }
    let in_all: u64 = incidents.iter().map(|incident| incident.drops()).sum();
    match refusals.saturating_sub(in_all) {
        0 => Ok(()),
        n => writeln!(
            to,
            "{n} drop{} in no incident: lost lines, or no room",
            plural(n as usize)
        ),
    }
}

fn write_one(incident: &Incident, clock: Clock, to: &mut String) -> fmt::Result {
    let drops = incident.drops();
    let at_least = if incident.clients_exact {
        ""
    } else {
        "at least "
    };
    write!(
        to,
        "incident {:#} to {:#}{} ({}): {drops} drop{} of {at_least}{} client{}",
        clock.at(incident.start_ns),
        clock.at(incident.end_ns),
        if incident.is_end_exact {
            ""
        } else {
            " or later"
        },
        ms(incident.end_ns - incident.start_ns),
        plural(drops as usize),
        incident.clients,
        plural(incident.clients as usize),
    )?;
    if incident.listeners.len() > 1 {
        write!(to, " by {} listeners", incident.listeners.len())?;
    }
    let causes = incident.causes.iter();
    let causes: Vec<String> = causes.map(|(cause, n)| format!("{cause} {n}")).collect();
    writeln!(to, ": {}", Clean(&causes.join(", ")))?;
    write_depth(&incident.depth, incident.step_ns, to)?;
    writeln!(to, "  {}{}", pause(incident), rates(incident.accepted))?;
    write_doing(&incident.doing, to)
}

fn ms(ns: u64) -> String {
    format!("{} ms", ns / 1_000_000)
}

/// `accept queue of 8, each 50 ms: 0 4 9 9 · 9 2`; a dot where nothing told of it.
fn write_depth(depth: &[Depth], step_ns: u64, to: &mut String) -> fmt::Result {
    let (Some(first), Some(last)) = (depth.first(), depth.last()) else {
        return Ok(());
    };
    let limit = depth.iter().map(|point| point.limit).max().unwrap_or(0);
    write!(to, "  accept queue of {limit}, each {}:", ms(step_ns))?;
    let by_time: BTreeMap<u64, u32> = depth.iter().map(|point| (point.at_ns, point.len)).collect();
    for at_ns in (first.at_ns..=last.at_ns).step_by(step_ns as usize) {
        match by_time.get(&at_ns) {
            Some(len) => write!(to, " {len}")?,
            None => to.push_str(" ·"),
        }
    }
    to.push('\n');
    Ok(())
}

fn pause(incident: &Incident) -> String {
    let precision = ms(incident.precision_ns);
    match (incident.gap, incident.stalled()) {
        (None, _) => "whether the application stopped accepting is not known".into(),
        (_, Some(gap)) => {
            let at_least = if gap.at_least { "at least " } else { "" };
            format!(
                "the application stopped accepting for {at_least}{} (±{precision})",
                ms(gap.ns())
            )
        }
        _ => format!(
            "the application did not stop accepting for {} or more",
            ms(2 * incident.precision_ns)
        ),
    }
}

fn rates(accepted: Rates) -> String {
    let when = [
        ("before", accepted.before),
        ("during", accepted.during),
        ("after", accepted.after),
    ];
    let known = when.into_iter().filter_map(|(name, rate)| {
        let rate = rate?;
        Some(format!("{rate:.0}/s {name}"))
    });
    let known: Vec<String> = known.collect();
    if known.is_empty() {
        return String::new();
    }
    format!("; accepted {}", known.join(", "))
}

fn write_doing(doing: &BTreeMap<ThreadState, u64>, to: &mut String) -> fmt::Result {
    let all: u64 = doing.values().sum();
    if all == 0 {
        return Ok(());
    }
    let mut most: Vec<(&ThreadState, &u64)> = doing.iter().collect();
    most.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let most = most.iter().take(DOING_AT_MOST);
    let shares: Vec<String> = most
        .map(|(doing, n)| format!("{}% {}", **n * 100 / all, Clean(&doing.to_string())))
        .collect();
    writeln!(
        to,
        "  its threads while the queue was full: {}",
        shares.join(", ")
    )
}

#[derive(Serialize, JsonSchema)]
pub(super) struct IncidentView<'a> {
    #[serde(flatten)]
    netns: NetnsView<'a>,
    #[serde(flatten)]
    at: At,
    start_ts: String,
    start_mono_ns: u64,
    end_ts: String,
    end_mono_ns: u64,
    end_exact: bool,
    drops: u64,
    causes: &'a BTreeMap<String, u64>,
    listeners: Vec<ListenerView>,
    clients: u64,
    clients_exact: bool,
    accept_queue: Vec<DepthView>,
    step_ms: u64,
    accepted_per_s: RatesView,
    accept_gap: Option<GapView>,
    threads: Vec<ThreadsView<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct ListenerView {
    cookie: Cookie,
    drops: u64,
}

#[derive(Serialize, JsonSchema)]
struct DepthView {
    /// After the first drop.
    at_ms: i64,
    len: u32,
    limit: u32,
}

#[derive(Serialize, JsonSchema)]
struct RatesView {
    before: Option<f64>,
    during: Option<f64>,
    after: Option<f64>,
}

#[derive(Serialize, JsonSchema)]
struct GapView {
    ms: u64,
    at_least: bool,
    precision_ms: u64,
    from_mono_ns: u64,
}

/// How often threads were found doing that, of all that was found of threads.
#[derive(Serialize, JsonSchema)]
struct ThreadsView<'a> {
    #[schemars(extend("enum" = ["stopped", "waiting-for-connections", "asleep", "running", null]))]
    state: Option<&'static str>,
    syscall: Option<&'a str>,
    for_lock: bool,
    wchan: Option<&'a str>,
    looks: u64,
    share: f64,
}

impl<'a> ThreadsView<'a> {
    fn of(state: &'a ThreadState, looks: u64, all: u64) -> Self {
        let (syscall, for_lock, wchan) = match state {
            ThreadState::Asleep {
                syscall,
                for_lock,
                wchan,
            } => (Some(syscall.as_str()), *for_lock, wchan.as_deref()),
            _ => (None, false, None),
        };
        Self {
            state: state.name(),
            syscall,
            for_lock,
            wchan,
            looks,
            share: looks as f64 / all as f64,
        }
    }
}

/// What most were doing first.
fn threads(doing: &BTreeMap<ThreadState, u64>) -> Vec<ThreadsView<'_>> {
    let all: u64 = doing.values().sum();
    let mut threads = Vec::from_iter(doing);
    threads.sort_by_key(|(_, looks)| std::cmp::Reverse(**looks));
    threads
        .into_iter()
        .map(|(state, looks)| ThreadsView::of(state, *looks, all))
        .collect()
}

impl<'a> IncidentView<'a> {
    pub(super) fn of(incident: &'a Incident, clock: Clock, names: &'a NetnsNames) -> Self {
        let after_start = |ns: u64| ns.wrapping_sub(incident.start_ns).cast_signed();
        let listeners = incident.listeners.iter();
        Self {
            netns: NetnsView::among(incident.place.netns, names),
            at: incident.place.addr.into(),
            start_ts: clock.at(incident.start_ns).to_string(),
            start_mono_ns: incident.start_ns,
            end_ts: clock.at(incident.end_ns).to_string(),
            end_mono_ns: incident.end_ns,
            end_exact: incident.is_end_exact,
            drops: incident.drops(),
            causes: &incident.causes,
            listeners: listeners
                .map(|(cookie, drops)| ListenerView {
                    cookie: Cookie(*cookie),
                    drops: *drops,
                })
                .collect(),
            clients: incident.clients,
            clients_exact: incident.clients_exact,
            accept_queue: incident
                .depth
                .iter()
                .map(|point| DepthView {
                    at_ms: after_start(point.at_ns) / 1_000_000,
                    len: point.len,
                    limit: point.limit,
                })
                .collect(),
            step_ms: incident.step_ns / 1_000_000,
            accepted_per_s: RatesView {
                before: incident.accepted.before,
                during: incident.accepted.during,
                after: incident.accepted.after,
            },
            accept_gap: incident.gap.map(|gap: Gap| GapView {
                ms: gap.ns() / 1_000_000,
                at_least: gap.at_least,
                precision_ms: incident.precision_ns / 1_000_000,
                from_mono_ns: gap.from_ns,
            }),
            threads: threads(&incident.doing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::incident::Place;

    const MS: u64 = 1_000_000;

    fn incident() -> Incident {
        let depth = |at_ms: u64, len| Depth {
            at_ns: at_ms * MS,
            len,
            limit: 8,
        };
        Incident {
            place: Place {
                netns: 1,
                addr: ([127, 0, 0, 1], 80).into(),
            },
            start_ns: 1000 * MS,
            end_ns: 1450 * MS,
            is_end_exact: true,
            causes: [("overflow/accept-queue-full".to_owned(), 3)].into(),
            listeners: [(5, 3)].into(),
            clients: 1,
            clients_exact: true,
            depth: vec![depth(950, 4), depth(1000, 9), depth(1100, 9)],
            step_ns: 50 * MS,
            accepted: Rates {
                before: Some(20.0),
                during: None,
                after: Some(0.4),
            },
            gap: Some(Gap {
                from_ns: 900 * MS,
                to_ns: 1312 * MS,
                at_least: false,
            }),
            precision_ns: 100 * MS,
            doing: [(ThreadState::Stopped, 9), (ThreadState::Running, 1)].into(),
        }
    }

    /// All but the line with the times.
    fn check(incident: &Incident, expect: &str) {
        let mut text = String::new();
        write_worst(&[incident], 3, 1, Clock::of(0), &mut text).expect("a string");
        let (first, rest) = text.split_once('\n').expect("a line");
        assert!(
            first.ends_with(" (450 ms): 3 drops of 1 client: overflow/accept-queue-full 3"),
            "{first}"
        );
        assert_eq!(rest, expect);
    }

    #[test]
    fn says_for_how_long_nothing_was_accepted() {
        check(
            &incident(),
            "  accept queue of 8, each 50 ms: 4 9 · 9\n  \
             the application stopped accepting for 412 ms (±100 ms); accepted 20/s before, 0/s after\n  \
             its threads while the queue was full: 90% stopped, 10% running\n",
        );
    }

    #[test]
    fn says_what_is_not_known() {
        let unknown = Incident {
            depth: Vec::new(),
            accepted: Rates::default(),
            gap: None,
            doing: BTreeMap::new(),
            ..incident()
        };
        check(
            &unknown,
            "  whether the application stopped accepting is not known\n",
        );
        let short = Incident {
            gap: Some(Gap {
                from_ns: 900 * MS,
                to_ns: 1099 * MS,
                at_least: true,
            }),
            ..unknown
        };
        check(
            &short,
            "  the application did not stop accepting for 200 ms or more\n",
        );
    }

    #[test]
    fn the_worst_are_shown_in_their_order() {
        let with = |start_ms: u64, drops| Incident {
            start_ns: start_ms * MS,
            causes: [("overflow".to_owned(), drops)].into(),
            ..incident()
        };
        let all = [with(10, 2), with(20, 1), with(30, 9)];
        let mut text = String::new();
        let all: Vec<&Incident> = all.iter().collect();
        write_worst(&all, 19, 2, Clock::of(0), &mut text).expect("a string");
        let drops = |n: u64| text.find(&format!("{n} drop")).expect("shown");
        assert!(drops(2) < drops(9), "{text}");
        let end = "and 1 more incident, 1 drop\n7 drops in no incident: lost lines, or no room\n";
        assert!(text.ends_with(end), "{text}");
    }
}
