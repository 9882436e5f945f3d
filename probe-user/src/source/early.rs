//! Ends a watch when the answer that is made of it has stopped changing.

use std::{
    cell::{Cell, RefCell},
    sync::OnceLock,
    time::{Duration, Instant},
};

use super::Enough;
use crate::{
    analyse::{inquiry::Inquiry, steady::Steady},
    host::{Host, pace::Pace},
    model::{Answer, Early, Observed, Summary, Tried},
    observe,
};

/// Between two answers, at most: they take the longer, the more there was.
const SELDOM: Duration = Duration::from_secs(5);

/// Asks the inquiry for its answer by now.
pub struct Ending<'a> {
    inquiry: &'a RefCell<Option<Inquiry>>,
    host: &'a Host,
    /// The own attempt, where one is made: nothing ends before it.
    tried: Option<&'a OnceLock<Option<Tried>>>,
    /// For how long it is to watch at most.
    of: Duration,
    ended: &'a Cell<Option<Early>>,
    steady: Steady,
    pace: Pace,
}

impl<'a> Ending<'a> {
    /// `ended` tells of it at the end.
    pub fn new(
        inquiry: &'a RefCell<Option<Inquiry>>,
        host: &'a Host,
        tried: Option<&'a OnceLock<Option<Tried>>>,
        (of, ended): (Duration, &'a Cell<Option<Early>>),
    ) -> Self {
        Self {
            inquiry,
            host,
            tried,
            of,
            ended,
            steady: Steady::default(),
            pace: Pace::new(Duration::ZERO, SELDOM, 0),
        }
    }

    /// The answer by now; `None` before the own attempt has ended.
    fn answer(&self, by_now: &Summary, asks_host: bool) -> Option<Answer> {
        let mut after = Vec::new();
        if let Some(tried) = self.tried {
            after.extend(tried.get()?.clone().map(Observed::Tried));
        }
        let inquiry = self.inquiry.borrow();
        let inquiry = inquiry.as_ref()?;
        if asks_host {
            let facts = inquiry.namespaces().into_iter();
            let facts = facts.map(|netns| observe::host_facts(netns, self.host));
            after.extend(facts.map(Box::new).map(Observed::Host));
        }
        Some(inquiry.by_now(by_now, &after))
    }
}

impl Enough for Ending<'_> {
    fn may_end(&mut self, counted: &Summary) -> bool {
        let began = Instant::now();
        if counted.causes.is_empty() || !self.pace.due(began) {
            return false;
        }
        let answer = self.answer(counted, false);
        self.pace.ran(began, Instant::now());
        let same = answer.and_then(|one| self.steady.hear(one.seen.watched, &one.answers));
        same.is_some()
    }

    fn can_end(&mut self, by_now: &Summary) -> bool {
        // Namespaces that nobody knew before are asked by now, too.
        let answer = self.answer(by_now, true);
        let sound = answer.filter(Answer::is_sound);
        let same = sound.and_then(|one| self.steady.hear(one.seen.watched, &one.answers));
        self.ended.set(same.map(|same_for| Early {
            of: self.of,
            same_for,
        }));
        if same.is_none() {
            self.steady.forget();
        }
        same.is_some()
    }
}
