//! Joins events of one client's attempt to connect into its story: what
//! happened to attempts comes in, with its time, and stories whose outcome has
//! changed go out. Does no I/O and reads no clock; the order in which events of
//! the last [`WINDOW_NS`] come in makes no difference.

mod story;

use std::collections::{BTreeMap, HashMap};

pub use self::story::{Isn, News, What};
use crate::model::{
    outcome::{Outcome, Why},
    story::{Attempt, Story, Totals},
};

/// Events of several CPUs come out of order by less than this.
pub const WINDOW_NS: u64 = 20_000_000;

/// So many stories are kept.
const STORIES_AT_MOST: usize = 16_384;

/// So many events wait for the window to be over.
const PENDING_AT_MOST: usize = 65_536;

/// Stories that are let go at once, so that they are not looked through for each new one.
const LET_GO: usize = STORIES_AT_MOST / 8;

impl Totals {
    fn add(&mut self, story: &Story) {
        if !story.shown {
            return;
        }
        *self.outcomes.entry(story.outcome.name()).or_default() += 1;
        if let Outcome::ConnectedLate { delay_ns } = story.outcome {
            self.delays.add(delay_ns);
        }
    }
}

/// The attempts of one watch.
#[derive(Debug, Default)]
pub struct Stories {
    /// By time, and what came at the same time by what it is.
    pending: BTreeMap<(u64, Attempt, What, u64), News>,
    taken: u64,
    /// The newest of each attempt.
    stories: HashMap<Attempt, Story>,
    totals: Totals,
    missed: Missed,
}

/// What stories may lack.
#[derive(Clone, Copy, Debug, Default)]
struct Missed {
    /// Why records were missed last, and when that was found out.
    last: Option<(Why, u64)>,
    /// Nobody tells who connected in the end.
    connected: bool,
}

impl Missed {
    /// Why a story whose last news is so old may miss some.
    fn since(self, last_ns: u64) -> Option<Why> {
        if self.connected {
            return Some(Why::NotRecorded);
        }
        let (why, at_ns) = self.last?;
        (at_ns >= last_ns).then_some(why)
    }

    /// The story, if its outcome is another than was told.
    fn told_anew(self, story: &mut Story) -> Option<Story> {
        if self.connected && matches!(story.outcome, Outcome::GaveUp { .. } | Outcome::Ghost) {
            story.outcome = Outcome::Unknown {
                why: Why::NotRecorded,
            };
        }
        let name = story.outcome.name();
        if story.told == name || !story.shown {
            return None;
        }
        story.told = name;
        Some(story.clone())
    }
}

impl Stories {
    /// Something happened to an attempt.
    pub fn take(&mut self, news: News) -> Vec<Story> {
        self.taken += 1;
        let key = (news.mono_ns, news.attempt, news.what, self.taken);
        self.pending.insert(key, news);
        if self.pending.len() <= PENDING_AT_MOST {
            return Vec::new();
        }
        let middle = self.pending.keys().nth(PENDING_AT_MOST / 2);
        let until_ns = middle.map_or(0, |key| key.0);
        self.settle_until(until_ns)
    }

    /// Records were left out, or lost, until now: stories without news since may have needed one.
    pub fn missed(&mut self, why: Why, records: u64, now_ns: u64) {
        match why {
            Why::Sampled => self.totals.sampled += records,
            _ => self.totals.lost += records,
        }
        self.missed.last = Some((why, now_ns));
    }

    /// How often which outcome was told until now.
    pub fn so_far(&self) -> Totals {
        self.totals.clone()
    }

    /// Nobody will tell who connected in the end: who falls silent may have.
    pub fn never_connected(&mut self) {
        self.missed.connected = true;
    }

    /// What is older than the window is in order by now: the stories whose outcome it has changed.
    pub fn settle(&mut self, now_ns: u64) -> Vec<Story> {
        self.settle_until(now_ns.saturating_sub(WINDOW_NS))
    }

    fn settle_until(&mut self, until_ns: u64) -> Vec<Story> {
        let mut ended = Vec::new();
        let mut touched = Vec::new();
        while let Some(first) = self.pending.first_entry() {
            if first.key().0 > until_ns {
                break;
            }
            let news = first.remove();
            touched.push(news.attempt);
            ended.extend(self.apply(&news));
        }
        touched.dedup();
        for attempt in touched {
            let missed = self.missed;
            let story = self.stories.get_mut(&attempt);
            ended.extend(story.and_then(|story| missed.told_anew(story)));
        }
        ended
    }

    /// To be called every second or so: what silence says by now.
    pub fn tick(&mut self, now_ns: u64) -> Vec<Story> {
        let mut ended = self.settle(now_ns);
        let missed = self.missed;
        for story in self.stories.values_mut() {
            if story.outcome.is_open() {
                story.outcome = story.in_silence(now_ns, missed.since(story.last_ns));
                ended.extend(missed.told_anew(story));
            }
        }
        // A map has no order of its own.
        ended.sort_by_key(|story| (story.last_ns, story.attempt));
        ended
    }

    /// The end of the watch: stories that have none, and what became of all.
    pub fn end(mut self, now_ns: u64) -> (Vec<Story>, Totals) {
        let mut ended = self.settle_until(u64::MAX);
        ended.extend(self.tick(now_ns));
        let mut open = Vec::new();
        for (_, mut story) in std::mem::take(&mut self.stories) {
            if story.outcome.is_open() {
                if let Some(why) = self.missed.since(story.last_ns) {
                    story.outcome = Outcome::Unknown { why };
                }
                if story.shown {
                    open.push(story.clone());
                }
            }
            self.totals.add(&story);
        }
        open.sort_by_key(|story| (story.last_ns, story.attempt));
        ended.extend(open);
        (ended, self.totals)
    }

    /// One event, in the order of time; the story that is over since another one began.
    fn apply(&mut self, news: &News) -> Vec<Story> {
        let missed = self.missed;
        if let Some(story) = self.stories.get_mut(&news.attempt) {
            if story.is_about(news) {
                story.take(news);
                return Vec::new();
            }
            if !news.what.begins() {
                // Of an attempt that was not refused: before this one, or after.
                return Vec::new();
            }
            let mut old = story.clone();
            *story = Story::begin(news);
            if old.outcome.is_open() {
                // Who begins anew from the same port has given up.
                let silent_ns = news.mono_ns.saturating_sub(old.last_ns);
                old.outcome = match missed.since(old.last_ns) {
                    Some(why) => Outcome::Unknown { why },
                    None => Outcome::GaveUp { silent_ns },
                };
            }
            let told = missed.told_anew(&mut old);
            self.totals.add(&old);
            return told.into_iter().collect();
        }
        if !news.what.begins() {
            return Vec::new();
        }
        self.stories.insert(news.attempt, Story::begin(news));
        if self.stories.len() > STORIES_AT_MOST {
            return self.let_go();
        }
        Vec::new()
    }

    /// Makes room: the oldest that are finished, then the oldest.
    fn let_go(&mut self) -> Vec<Story> {
        let mut order: Vec<(bool, u64, Attempt)> = self
            .stories
            .values()
            .map(|story| (story.outcome.is_open(), story.last_ns, story.attempt))
            .collect();
        order.select_nth_unstable(LET_GO);
        order.truncate(LET_GO);
        order.sort_unstable();
        let mut ended = Vec::new();
        for (is_open, _, attempt) in order {
            let Some(mut story) = self.stories.remove(&attempt) else {
                continue;
            };
            if is_open {
                self.totals.let_go += 1;
                story.outcome = Outcome::Unknown { why: Why::LetGo };
            }
            ended.extend(self.missed.told_anew(&mut story));
            self.totals.add(&story);
        }
        ended
    }
}

#[cfg(test)]
mod tests;
