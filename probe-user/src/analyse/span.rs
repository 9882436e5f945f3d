//! What the kernel counted in a part of a recording: lines come in, and the counts between two instants go out. Reads no
//! clock.
//!
//! Readings of the counters come once a second at most, so the first and the last of them may reach beyond the part.
//! Events, which have their own instants, tell how much of such a reading was inside; what had no line may have been on
//! either side.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
};

use probe_common::counter;

use crate::model::{
    CountersMoved, Line, NetnsNames, Observed, Summary, event::Event, intern::Name,
};

/// Events of one namespace that are remembered between two readings.
const EVENTS_AT_MOST: usize = 65_536;

/// From the first instant to the last, in one namespace or in all.
#[derive(Debug, Default)]
pub struct Span {
    since_ns: u64,
    until_ns: u64,
    netns: Option<u32>,
    counts: BTreeMap<u32, BTreeMap<Name, Count>>,
    names: NetnsNames,
    recent: HashMap<u32, Recent>,
    is_kept: bool,
    is_closed: bool,
    /// Something of the recording is missing.
    has_gaps: bool,
    /// Namespaces of which it is not known what the kernel counted.
    unknown: Vec<u32>,
}

/// So many at least, and so many at most; `None` where later readings may have had more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// No fewer than these.
    pub least: u64,
    /// No more than these; `None` where that is not known.
    pub most: Option<u64>,
}

/// By how much counters moved.
type Slots = [u8; counter::SLOTS];

/// Events since the last reading: when they were, and by how much counters moved.
#[derive(Debug, Default)]
struct Recent {
    events: VecDeque<(u64, Slots)>,
    /// There was no room for all of them.
    is_short: bool,
}

/// What is known of a span.
#[derive(Debug, PartialEq, Eq)]
pub enum Counted {
    /// The recording has no readings.
    NotRecorded,
    /// By namespace, only what moved.
    Known {
        /// By namespace and by the counter's name in /proc/net/netstat.
        counts: BTreeMap<u32, BTreeMap<Name, Count>>,
        /// What these namespaces are called.
        names: NetnsNames,
        /// Namespaces of which it is not known what the kernel counted.
        unknown: Vec<u32>,
        /// Nothing of the recording is missing.
        is_whole: bool,
    },
}

impl Counted {
    /// What the kernel counted in the span that these words name.
    pub fn sentences(&self, span: &str) -> Vec<String> {
        let (counts, names, unknown, is_whole) = match self {
            Self::NotRecorded => {
                return vec![format!(
                    "the recording holds no readings of the kernel's counters: what was refused {span} is known from its lines alone"
                )];
            }
            Self::Known {
                counts,
                names,
                unknown,
                is_whole,
            } => (counts, names, unknown, *is_whole),
        };
        let mut said: Vec<String> = counts
            .iter()
            .map(|(netns, counts)| {
                let name = names.get(netns).and_then(|name| name.given());
                let name =
                    name.map_or_else(String::new, |name| format!(" ({})", name.escape_debug()));
                let counts = counts
                    .iter()
                    .map(|(counter, count)| format!("{counter} {count}"));
                let counts: Vec<String> = counts.collect();
                let counts = counts.join(", ");
                format!("{span} the kernel counted in netns {netns}{name}: {counts}")
            })
            .collect();
        if said.is_empty() && unknown.is_empty() {
            let as_far = if is_whole {
                ""
            } else {
                ", as far as the recording goes"
            };
            said.push(format!(
                "{span} no counter of refusals moved in the kernel{as_far}"
            ));
        }
        said.extend(unknown.iter().map(|netns| {
            format!("what the kernel counted in netns {netns} {span} is not known: its counters could not be read all the time")
        }));
        said
    }
}

impl fmt::Display for Count {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.most {
            Some(most) if most == self.least => write!(to, "{most}"),
            Some(most) => write!(to, "{} to {most}", self.least),
            None => write!(to, "at least {}", self.least),
        }
    }
}

impl Span {
    /// Without an end it lasts as long as the recording.
    pub fn new(since_ns: u64, until_ns: Option<u64>, netns: Option<u32>) -> Self {
        Self {
            since_ns,
            until_ns: until_ns.unwrap_or(u64::MAX),
            netns,
            ..Self::default()
        }
    }

    /// To be told of every line, also of those outside.
    pub fn line(&mut self, line: &Line<'_>) {
        match line {
            Line::Start(start) => self.is_kept = start.counts_kernel,
            Line::Event(seen) if self.is_kept => self.event(&seen.event),
            Line::Observed(Observed::Counters(moved)) => self.moved(moved),
            Line::Summary(summary) => self.summary(summary),
            _ => {}
        }
    }

    /// Lines are missing here: whatever they said is not known.
    pub const fn gap(&mut self) {
        self.has_gaps = true;
    }

    const fn has(&self, mono_ns: u64) -> bool {
        self.since_ns <= mono_ns && mono_ns <= self.until_ns
    }

    fn event(&mut self, event: &Event) {
        let is_silent = event.moved.iter().all(|n| *n == 0);
        if is_silent || self.netns.is_some_and(|only| only != event.netns) {
            return;
        }
        let recent = self.recent.entry(event.netns).or_default();
        if recent.events.len() >= EVENTS_AT_MOST {
            recent.events.clear();
            recent.is_short = true;
        }
        recent.events.push_back((event.mono_ns, event.moved));
    }

    fn moved(&mut self, moved: &CountersMoved) {
        if self.netns.is_some_and(|only| only != moved.netns) {
            return;
        }
        if let Some(name) = &moved.netns_name {
            self.names.insert(moved.netns, name.clone());
        }
        let mut recent = self.recent.remove(&moved.netns).unwrap_or_default();
        let is_outside = moved.mono_ns < self.since_ns || moved.since_ns >= self.until_ns;
        if !is_outside {
            let is_inside = moved.since_ns >= self.since_ns && moved.mono_ns <= self.until_ns;
            for (counter, n) in &moved.moved {
                let (least, most) = if is_inside {
                    (*n, *n)
                } else {
                    self.part(&recent, moved, counter, *n)
                };
                let counts = self.counts.entry(moved.netns).or_default();
                let count = counts.entry(counter).or_insert(Count {
                    least: 0,
                    most: Some(0),
                });
                count.least += least;
                count.most = count.most.map(|before| before + most);
            }
        }
        // Those that came after the reading belong to the next one.
        recent.is_short = false;
        recent.events.retain(|(at, _)| *at > moved.mono_ns);
        if !recent.events.is_empty() {
            self.recent.insert(moved.netns, recent);
        }
    }

    /// How much of a reading that reaches beyond the span was inside, at least and at most.
    fn part(&self, recent: &Recent, moved: &CountersMoved, counter: &str, n: u64) -> (u64, u64) {
        let slot = counter::NAMES.iter().position(|(_, name)| *name == counter);
        let Some(slot) = slot.filter(|_| !recent.is_short) else {
            return (0, n);
        };
        let (mut inside, mut outside) = (0, 0);
        for (at, by) in &recent.events {
            if moved.since_ns < *at && *at <= moved.mono_ns {
                let side = if self.has(*at) {
                    &mut inside
                } else {
                    &mut outside
                };
                *side += u64::from(by[slot]);
            }
        }
        // An event beside the instant of a reading may belong to the next one.
        (
            n.saturating_sub(outside).min(inside),
            n.saturating_sub(outside).max(inside.min(n)),
        )
    }

    fn summary(&mut self, summary: &Summary) {
        self.is_closed = true;
        let unknown = summary.rows.iter().filter(|row| row.kernel.is_none());
        let unknown = unknown.map(|row| row.netns);
        self.unknown = unknown
            .filter(|netns| self.netns.is_none_or(|only| only == *netns))
            .collect();
        self.unknown.dedup();
    }

    /// The recording is over.
    pub fn end(mut self) -> Counted {
        if !self.is_kept {
            return Counted::NotRecorded;
        }
        let is_whole = self.is_closed && !self.has_gaps;
        if !self.is_closed {
            self.add_unread();
        }
        if !is_whole {
            for count in self.counts.values_mut().flat_map(BTreeMap::values_mut) {
                count.most = None;
            }
        }
        for netns in &self.unknown {
            self.counts.remove(netns);
        }
        for counts in self.counts.values_mut() {
            counts.retain(|_, count| (count.least, count.most) != (0, Some(0)));
        }
        self.counts.retain(|_, counts| !counts.is_empty());
        Counted::Known {
            counts: self.counts,
            names: self.names,
            unknown: self.unknown,
            is_whole,
        }
    }

    /// What came after the last reading of a recording that was not closed.
    fn add_unread(&mut self) {
        for (netns, recent) in std::mem::take(&mut self.recent) {
            let inside = recent.events.iter().filter(|(at, _)| self.has(*at));
            let mut sums = [0; counter::SLOTS];
            for (_, by) in inside {
                for (sum, n) in sums.iter_mut().zip(by) {
                    *sum += u64::from(*n);
                }
            }
            let sums = sums.into_iter().enumerate().take(counter::DECISIVE);
            for (slot, sum) in sums.filter(|(_, sum)| *sum > 0) {
                let counts = self.counts.entry(netns).or_default();
                let count = counts.entry(counter::NAMES[slot].1).or_default();
                count.least += sum;
                count.most = None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
