//! Recordings as a source: items in their order, and a sentence where a recording lacks something.

use std::{collections::VecDeque, path::PathBuf};

use serde::Deserialize;

use super::{
    Recorded, What, find, item,
    problem::ReadError,
    reader::{Read, Reader},
};
use crate::model::{Clock, Utc};

/// What comes out.
#[derive(Debug)]
pub enum Told {
    /// An item.
    Item(Recorded),
    /// A sentence about the recording.
    Note(String),
}

/// What the first line of a part says of it.
#[derive(Debug, Deserialize)]
struct Part {
    id: String,
    part: u32,
    mono_ns: u64,
    ahead_ns: i64,
    /// Of all parts before it.
    #[serde(default)]
    lost_lines: u64,
}

#[derive(Deserialize)]
struct First {
    recording: Option<Part>,
}

/// The recording that is being read.
#[derive(Debug)]
struct Current {
    id: String,
    part: u32,
    lost_lines: u64,
    clock: Clock,
    last_ns: u64,
    is_ended: bool,
    name: String,
}

/// Reads parts, one after another.
pub struct Source {
    reader: Reader,
    /// The part that the last line was of, and that line.
    part: PathBuf,
    line: Vec<u8>,
    current: Option<Current>,
    /// Comes out before the next line is read.
    ready: VecDeque<Told>,
    unknown: u64,
    is_over: bool,
}

impl Source {
    /// Finds the parts of what was named.
    ///
    /// # Errors
    /// Something is not there, is no file, or cannot be read.
    pub fn open(paths: &[PathBuf]) -> Result<Self, ReadError> {
        Ok(Self {
            reader: Reader::open(paths, find::identify)?,
            part: PathBuf::new(),
            line: Vec::new(),
            current: None,
            ready: VecDeque::new(),
            unknown: 0,
            is_over: false,
        })
    }

    fn note(&mut self, sentence: String) {
        self.ready.push_back(Told::Note(sentence));
    }

    /// The end of a recording, at the beginning of the next or when all parts are read.
    fn close(&mut self) {
        let Some(old) = self.current.take() else {
            return;
        };
        if !old.is_ended {
            let last = old.clock.at(old.last_ns);
            self.note(format!(
                "{} was not closed: what came after {last} is not in it",
                old.name
            ));
        }
    }

    /// The line that the last item was read from, as it was recorded. Where a recording goes on in another part, that is
    /// the first line of the part.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    fn read(&mut self) {
        let recorded = match item::parse(&self.line) {
            Ok(Some(recorded)) => recorded,
            Ok(None) => {
                self.unknown += 1;
                return;
            }
            Err(error) => {
                let name = self.part.display();
                return self.note(format!(
                    "{name}: a line that whydrop did not record is left out: {error}"
                ));
            }
        };
        if let Recorded::Other(item) = &recorded
            && matches!(item.what, What::Start(_))
        {
            return self.start(recorded);
        }
        if let Some(current) = &mut self.current {
            current.last_ns = current.last_ns.max(recorded.mono_ns());
            if let Recorded::Other(item) = &recorded {
                match &item.what {
                    What::Clock(clock) => current.clock = *clock,
                    What::Ended => current.is_ended = true,
                    _ => {}
                }
            }
        }
        self.ready.push_back(Told::Item(recorded));
    }

    /// The first line of a part: it goes on with the same recording, or begins another.
    fn start(&mut self, recorded: Recorded) {
        let part = serde_json::from_slice::<First>(&self.line).ok();
        let part = part.and_then(|first| first.recording);
        let name = self.part.display().to_string();
        let clock = |part: &Part| Clock::of(part.ahead_ns);
        if let (Some(part), Some(current)) = (&part, &mut self.current)
            && part.id == current.id
        {
            let (missing, lost) = (
                part.part.saturating_sub(current.part + 1),
                part.lost_lines.saturating_sub(current.lost_lines),
            );
            current.part = part.part;
            current.lost_lines = part.lost_lines;
            current.clock = clock(part);
            current.name.clone_from(&name);
            let now = clock(part);
            let at_ns = part.mono_ns;
            self.ready
                .push_back(Told::Item(Recorded::clock(at_ns, now)));
            if missing > 0 {
                self.note(format!("{missing} parts before {name} are not there"));
            }
            if lost > 0 {
                self.note(format!("{lost} lines before {name} could not be recorded"));
            }
            return;
        }
        self.close();
        if let Some(part) = part.as_ref().filter(|part| part.part > 1) {
            self.note(format!(
                "{name} is part {} of its recording; those before it are not there",
                part.part
            ));
        }
        self.current = Some(Current {
            clock: part.as_ref().map_or_else(|| Clock::of(0), clock),
            last_ns: recorded.mono_ns(),
            lost_lines: part.as_ref().map_or(0, |part| part.lost_lines),
            part: part.as_ref().map_or(1, |part| part.part),
            id: part.map_or_else(String::new, |part| part.id),
            is_ended: false,
            name,
        });
        self.ready.push_back(Told::Item(recorded));
    }

    fn end(&mut self) {
        self.is_over = true;
        self.close();
        if self.unknown > 0 {
            let unknown = self.unknown;
            self.note(format!(
                "{unknown} lines are of kinds that this version does not know, and are left out"
            ));
        }
    }
}

impl Iterator for Source {
    type Item = Told;

    fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return Some(told);
            }
            if self.is_over {
                return None;
            }
            match self.reader.advance() {
                Some(Read::Line { part, line, .. }) => {
                    if self.part != part.path {
                        self.part.clone_from(&part.path);
                    }
                    self.line.clear();
                    self.line.extend_from_slice(line);
                    self.read();
                }
                Some(Read::Problem(problem)) => self.note(problem.to_string()),
                None => self.end(),
            }
        }
    }
}

/// The instant that `text` names: a date and time (UTC), or a time on the day that the recording began.
pub fn when(text: &str, clock: Clock, began_ns: u64) -> Result<u64, String> {
    let began: Utc = clock.at(began_ns);
    let day = began.to_string();
    let day = day.get(..10).unwrap_or_default();
    let whole = if text.contains('-') {
        text.to_owned()
    } else if text.matches(':').count() == 1 {
        format!("{day}T{text}:00Z")
    } else {
        format!("{day}T{text}Z")
    };
    let wrong = || {
        format!(
            "`{text}` is not a time; write 2026-11-27T03:00:00Z, or 03:00:00 for the day the recording began (UTC)"
        )
    };
    let time = humantime::parse_rfc3339_weak(&whole).map_err(|_| wrong())?;
    let since = time
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|_| wrong())?;
    let wall_ns = u64::try_from(since.as_nanos()).map_err(|_| wrong())?;
    Ok(clock.mono_at(wall_ns))
}
