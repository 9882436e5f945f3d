//! The earlier watch of `--against`.

use std::path::PathBuf;

use super::{
    Failure,
    recorded::{Hears, read},
};
use crate::{
    analyse::against::{LISTENER, Watch, against},
    filter::ListenerFilter,
    model::{Against, Line, Start, Summary},
};

/// How it began, and what it came to.
pub(crate) struct Earlier {
    start: Start,
    summary: Summary,
}

/// Its lines are not needed.
struct Nothing;

impl Hears for Nothing {
    fn line(&mut self, _: u64, _: &Line<'_>) {}
}

impl Earlier {
    /// Of this recording, where one is named.
    pub(crate) fn read(path: Option<&PathBuf>) -> Result<Option<Self>, Failure> {
        let Some(path) = path else { return Ok(None) };
        let read = read(std::slice::from_ref(path), |_| Nothing)?;
        Ok(Some(Self {
            start: read.start,
            summary: read.summary,
        }))
    }

    /// Beside what is known now of these listeners, or of all where none is named.
    pub(crate) fn beside(
        &self,
        (start, summary): (&Start, &Summary),
        only: &[ListenerFilter],
        has_stories: bool,
    ) -> Against {
        let then = Watch {
            start: &self.start,
            summary: &self.summary,
        };
        against(then, Watch { start, summary }, only, has_stories)
    }

    /// Beside a command that was watched, of the listeners that were asked about.
    pub(crate) fn beside_run(&self, now: (&Start, &Summary)) -> Result<Against, Failure> {
        let words = now.0.filters.iter();
        let asked = words.filter_map(|words| words.strip_prefix(LISTENER));
        let only: Result<Vec<ListenerFilter>, _> = asked.map(str::parse).collect();
        Ok(self.beside(now, &only.map_err(Failure::failed)?, true))
    }
}
