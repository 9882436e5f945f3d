//! Stages of a watch, run on what was recorded: stories that nobody asked for, or those that were told made again, and
//! figures less often than they were recorded. What the recording lacks for it is said in a sentence.

use std::{collections::BTreeMap, time::Duration};

use super::{Item, Recorded, What};
use crate::{
    analyse::stories::Told,
    filter::Filter,
    model::{Asked, ListenerStatsRow, Loss, Start, Summary, story::Story, tier::Tier},
};

/// How often a stage is told that time passes.
const TICK_NS: u64 = 1_000_000_000;

/// What is wanted beside what was recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Whether stories of attempts are told.
    pub stories: bool,
    /// How often figures of listeners are told; `None`: never.
    pub stats_every: Option<Duration>,
    /// The share of a queue's room that is warned of, in percent; `None`: never.
    pub warn_percent: Option<u8>,
    /// What stages had told is left aside, and they run anew.
    pub again: bool,
}

/// An item on its way.
#[derive(Debug)]
pub enum Passed {
    /// As it was recorded.
    Recorded(Recorded),
    /// Made here, of what passes the filter.
    Made(Recorded),
}

/// The stages of one replay.
#[derive(Default)]
pub struct Anew {
    wanted: Wanted,
    filter: Filter,
    stories: Option<Told>,
    /// Records that were left out, and lost, so far.
    sampled: u64,
    loss: Loss,
    /// The newest moment, and when stages were last told of one.
    now_ns: u64,
    ticked_ns: u64,
    /// The newest figures of each listener that are not told, and until when they wait.
    figures: BTreeMap<(u32, u64), (u64, Box<ListenerStatsRow>)>,
    figures_ns: u64,
}

impl Anew {
    /// Of what is wanted, for what passes the filter.
    pub fn new(wanted: Wanted, filter: Filter) -> Self {
        Self {
            wanted,
            filter,
            ..Self::default()
        }
    }

    /// Another recording begins; what it lacks, in sentences.
    pub fn begin(&mut self, start: &Start) -> Vec<String> {
        let asked = start.asked;
        let mut notes = Vec::new();
        let is_wanted = self.wanted.stories && !asked.stories || self.wanted.again && asked.stories;
        let has_events = start.tier != Tier::Counters;
        if is_wanted && has_events {
            self.stories = Some(Told::recorded(asked.stories));
        }
        if self.wanted.stories && !has_events {
            notes.push("it was recorded on the counters tier, which knows no attempts: there are no stories".into());
        } else if self.wanted.stories && !asked.stories {
            notes.push("it was recorded without --stories, so it does not hold who connected in the end: what became of attempts is `unknown` (not-recorded), unless they were reset".into());
        } else if self.wanted.again && !is_wanted {
            notes.push("it was recorded without --stories, so --again has no stories to make anew; add --stories".into());
        }
        notes.extend(figures_lack(self.wanted.stats_every, asked));
        notes.extend(warnings_lack(self.wanted.warn_percent, asked));
        (self.sampled, self.loss) = (0, Loss::default());
        self.now_ns = start.mono_ns;
        self.ticked_ns = start.mono_ns;
        self.figures_ns = self.next_figures();
        notes
    }

    fn next_figures(&self) -> u64 {
        let every = self.wanted.stats_every.unwrap_or_default();
        let every_ns = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX);
        self.now_ns.saturating_add(every_ns)
    }

    /// What comes of an item, in order.
    pub fn pass(&mut self, mut recorded: Recorded, to: &mut Vec<Passed>) {
        self.now_ns = self.now_ns.max(recorded.mono_ns());
        self.tick(to);
        match &mut recorded {
            Recorded::Event(seen) => {
                if let Some(stories) = &mut self.stories
                    && self.filter.takes(&seen.event)
                {
                    tell(self.now_ns, stories.take(seen, &self.filter), to);
                }
            }
            Recorded::Other(item) => match &mut item.what {
                What::Story(_) if self.stories.is_some() => return,
                What::Sampled(sampled) => self.sampled += sampled.count,
                What::Loss(loss) => {
                    self.loss.ring_full += loss.ring_full;
                    self.loss.undecodable += loss.undecodable;
                }
                What::Stats(row) if self.wanted.stats_every.is_some() => {
                    // They count from the start of the watch on: the newest has all of those before.
                    let name = (row.netns, row.cookie);
                    self.figures
                        .insert(name, (item.mono_ns, std::mem::take(row)));
                    return;
                }
                What::Summary(summary) => self.end(Some(summary), to),
                _ => {}
            },
        }
        to.push(Passed::Recorded(recorded));
        if let Some(stories) = &mut self.stories {
            tell(self.now_ns, stories.settle(self.now_ns), to);
        }
    }

    fn tick(&mut self, to: &mut Vec<Passed>) {
        if self.now_ns >= self.figures_ns {
            self.tell_figures(to);
            self.figures_ns = self.next_figures();
        }
        if self.now_ns.saturating_sub(self.ticked_ns) < TICK_NS {
            return;
        }
        self.ticked_ns = self.now_ns;
        if let Some(stories) = &mut self.stories {
            let told = stories.tick(self.now_ns, self.sampled, &self.loss);
            tell(self.now_ns, told, to);
        }
    }

    fn tell_figures(&mut self, to: &mut Vec<Passed>) {
        for (mono_ns, row) in std::mem::take(&mut self.figures).into_values() {
            let what = What::Stats(row);
            to.push(Passed::Recorded(Recorded::Other(Item { mono_ns, what })));
        }
    }

    /// The recording is over, with a summary or without.
    pub fn end(&mut self, summary: Option<&mut Summary>, to: &mut Vec<Passed>) {
        self.tell_figures(to);
        if let Some(stories) = self.stories.take() {
            let (told, totals) = stories.end(self.now_ns, self.sampled, &self.loss);
            tell(self.now_ns, told, to);
            if let Some(summary) = summary {
                summary.stories = totals;
            }
        }
    }
}

fn tell(now_ns: u64, stories: Vec<Story>, to: &mut Vec<Passed>) {
    to.extend(stories.into_iter().map(|story| {
        Passed::Made(Recorded::Other(Item {
            mono_ns: now_ns,
            what: What::Story(Box::new(story)),
        }))
    }));
}

fn figures_lack(wanted: Option<Duration>, asked: Asked) -> Option<String> {
    match (wanted?, asked.stats_every) {
        (_, None) => Some(
            "it was recorded without --stats: figures of listeners are in its summary alone".into(),
        ),
        (wanted, Some(every)) if wanted < every => Some(format!(
            "it was recorded with --stats {}: figures come no more often",
            humantime::format_duration(every)
        )),
        _ => None,
    }
}

fn warnings_lack(wanted: Option<u8>, asked: Asked) -> Option<String> {
    match (wanted?, asked.warn_percent) {
        (_, None) => Some(
            "it was recorded without --warn: when a queue passed a share of its room is not in it, only how full it was at each event"
                .into(),
        ),
        (wanted, Some(share)) if wanted != share => Some(format!(
            "it was recorded with --warn {share}%: warnings are those of that share"
        )),
        _ => None,
    }
}
