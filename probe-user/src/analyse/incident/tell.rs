//! From the slots of one place to its incidents.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    CLOSE_NS,
    cells::{Cell, Cells},
    member::Member,
};
use crate::model::incident::{Depth, Gap, Incident, Place, Rates};

/// So much of the queue before and after is shown.
const AROUND_NS: u64 = 500_000_000;

/// Points of a curve.
const POINTS_AT_MOST: usize = 24;

/// A stretch in which drops, or a full queue, are close together.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from_ns: u64,
    to_ns: u64,
    has_drops: bool,
}

pub(super) fn incidents(
    place: Place,
    cells: &Cells,
    watched: (u64, u64),
    rows_every_ns: Option<u64>,
) -> Vec<Incident> {
    let mut members: BTreeMap<u64, Member> = BTreeMap::new();
    for ((_, cookie), cell) in &cells.cells {
        members.entry(*cookie).or_default().add(cell);
    }
    let resolution_ns = rows_every_ns.unwrap_or(0).max(cells.width_ns);
    stretches(cells)
        .into_iter()
        .filter(|stretch| stretch.has_drops)
        .map(|stretch| {
            let mut incident = of_stretch(place, cells, stretch);
            let (start_ns, end_ns) = (incident.start_ns, incident.end_ns);
            incident.precision_ns = resolution_ns;
            // Without rows that nothing was told of is no sign that nothing was accepted.
            if rows_every_ns.is_none() {
                return incident;
            }
            incident.accepted = rates(&members, (start_ns, end_ns), watched, resolution_ns);
            // Of a group, those that refused: the others may have accepted all the time.
            let hurt = members
                .iter()
                .filter(|(cookie, _)| incident.listeners.contains_key(cookie));
            let hurt: Vec<&Member> = hurt.map(|(_, member)| member).collect();
            // A row is told a moment after what it tells of.
            let early_ns = start_ns.saturating_sub(resolution_ns);
            let gap = longest_gap(&hurt, early_ns, end_ns + resolution_ns);
            // Nothing waited for long enough to be seen.
            let no_gap = Gap {
                from_ns: start_ns,
                to_ns: start_ns,
                at_least: false,
            };
            incident.gap = gap.map(|longest| longest.unwrap_or(no_gap));
            incident.gap = incident.gap.map(|gap| within(gap, watched));
            let pauses = hurt.iter().map(|m| m.longest_pause(start_ns, end_ns));
            incident.precision_ns = pauses.max().unwrap_or(0).max(resolution_ns);
            incident
        })
        .collect()
}

/// When something was dropped in a slot, for sure or perhaps, and when its queue was full.
fn moments(cell: &Cell) -> impl Iterator<Item = Stretch> {
    let stretch = |(from_ns, to_ns), has_drops| Stretch {
        from_ns,
        to_ns,
        has_drops,
    };
    let left_out = cell.left_out_ns.map(|ns| (ns.saturating_sub(CLOSE_NS), ns));
    let dropped = cell.dropped.into_iter().chain(left_out);
    let dropped = dropped.map(move |times| stretch(times, true));
    dropped.chain(cell.full.map(|times| stretch(times, false)))
}

fn stretches(cells: &Cells) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = cells.cells.values().flat_map(moments).collect();
    all.sort_by_key(|stretch| (stretch.from_ns, stretch.to_ns));
    let mut joined: Vec<Stretch> = Vec::new();
    for one in all {
        match joined.last_mut() {
            Some(last) if one.from_ns <= last.to_ns.saturating_add(CLOSE_NS) => {
                last.to_ns = last.to_ns.max(one.to_ns);
                last.has_drops |= one.has_drops;
            }
            _ => joined.push(one),
        }
    }
    joined
}

fn of_stretch(place: Place, cells: &Cells, stretch: Stretch) -> Incident {
    let mut incident = Incident {
        place,
        start_ns: u64::MAX,
        end_ns: 0,
        is_end_exact: true,
        causes: BTreeMap::new(),
        listeners: BTreeMap::new(),
        clients: 0,
        clients_exact: true,
        depth: Vec::new(),
        step_ns: cells.width_ns,
        accepted: Rates::default(),
        gap: None,
        precision_ns: 0,
        doing: BTreeMap::new(),
    };
    let width_ns = cells.width_ns;
    // No slot is as wide as what is between two stretches.
    let slots = (stretch.from_ns / width_ns, 0)..=(stretch.to_ns / width_ns, u64::MAX);
    let mut clients: BTreeSet<IpAddr> = BTreeSet::new();
    for ((_, cookie), cell) in cells.cells.range(slots) {
        let said = cell.left_out_ns.map(|ns| (ns, ns));
        if let Some((first_ns, last_ns)) = cell.dropped.or(said) {
            incident.start_ns = incident.start_ns.min(first_ns);
            incident.end_ns = incident.end_ns.max(last_ns);
        }
        incident.is_end_exact &= cell.left_out_ns.is_none();
        incident.clients_exact &= !cell.clients_missing;
        clients.extend(&cell.clients);
        let causes = cell.causes.iter().chain(&cell.left_out);
        for (cause, n) in causes {
            *incident.causes.entry(cause.clone()).or_default() += n;
            *incident.listeners.entry(*cookie).or_default() += n;
        }
        for (doing, n) in &cell.doing {
            *incident.doing.entry(doing.clone()).or_default() += n;
        }
    }
    incident.clients = clients.len() as u64;
    (incident.depth, incident.step_ns) = depth(cells, incident.start_ns, incident.end_ns);
    incident
}

/// The longest queue of each slot around these times, in as many steps as are shown.
fn depth(cells: &Cells, start_ns: u64, end_ns: u64) -> (Vec<Depth>, u64) {
    let width_ns = cells.width_ns;
    let from = start_ns.saturating_sub(AROUND_NS) / width_ns;
    let to = end_ns.saturating_add(AROUND_NS) / width_ns;
    let known = cells.cells.range((from, 0)..=(to, u64::MAX));
    let known = known.filter_map(|((slot, _), cell)| Some((*slot, cell.depth?)));
    let known: Vec<(u64, (u32, u32))> = known.collect();
    let (Some(first), Some(last)) = (known.first(), known.last()) else {
        return (Vec::new(), width_ns);
    };
    let slots = last.0 - first.0 + 1;
    let together = slots.div_ceil(POINTS_AT_MOST as u64);
    let mut steps: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
    for (slot, depth) in &known {
        let step = steps.entry((slot - first.0) / together).or_default();
        *step = (*step).max(*depth);
    }
    let step_ns = together * width_ns;
    let points = steps.into_iter().map(|(step, (len, limit))| Depth {
        at_ns: first.0 * width_ns + step * step_ns,
        len,
        limit,
    });
    (points.collect(), step_ns)
}

fn rates(
    members: &BTreeMap<u64, Member>,
    (start_ns, end_ns): (u64, u64),
    (began_ns, ended_ns): (u64, u64),
    resolution_ns: u64,
) -> Rates {
    let rate = |from_ns: u64, to_ns: u64| {
        let long_ns = to_ns.saturating_sub(from_ns);
        // Of less than that the ends are not known well enough.
        if long_ns < 2 * resolution_ns {
            return None;
        }
        let accepted = members.values().map(|m| m.accepted_between(from_ns, to_ns));
        let accepted: u64 = accepted.sum::<Option<u64>>()?;
        Some(accepted as f64 * 1e9 / long_ns as f64)
    };
    Rates {
        before: rate(start_ns.saturating_sub(CLOSE_NS).max(began_ns), start_ns),
        during: rate(start_ns, end_ns),
        after: rate(end_ns, end_ns.saturating_add(CLOSE_NS).min(ended_ns)),
    }
}

/// As far as it was watched: looks begin before the hooks are there, and lines are still taken after the end.
fn within(gap: Gap, (began_ns, ended_ns): (u64, u64)) -> Gap {
    let from_ns = gap.from_ns.clamp(began_ns, ended_ns.max(began_ns));
    let to_ns = gap.to_ns.clamp(from_ns, ended_ns.max(from_ns));
    Gap {
        from_ns,
        to_ns,
        at_least: gap.at_least || (from_ns, to_ns) != (gap.from_ns, gap.to_ns),
    }
}

/// Of these listeners, as far as it was between these times; `None` where accepts are not known.
#[allow(
    clippy::option_option,
    reason = "that there was none is known, or it is not"
)]
fn longest_gap(members: &[&Member], from_ns: u64, to_ns: u64) -> Option<Option<Gap>> {
    let gaps: Option<Vec<Vec<Gap>>> = members.iter().map(|member| member.gaps()).collect();
    let gaps = gaps?.into_iter().flatten();
    let meanwhile = gaps.filter(|gap| gap.from_ns <= to_ns && gap.to_ns >= from_ns);
    Some(meanwhile.max_by_key(|gap| (gap.ns(), gap.from_ns)))
}
