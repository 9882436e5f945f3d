//! What a command makes of a recording instead of a watch: the lines of the last recording that was closed.

use std::path::PathBuf;

use thiserror::Error;

use super::{ReadError, Source, Told};
use crate::{
    analyse::ran::Heard,
    model::{Line, Start, Summary},
};

/// A recording that was read.
pub struct Closed<T> {
    /// What was made of its lines.
    pub heard: T,
    /// How it began.
    pub start: Start,
    /// What the watch ended with.
    pub summary: Summary,
    /// When the summary was told.
    pub ended_ns: u64,
}

/// Whoever hears lines, each with its time.
pub trait Hears {
    /// Takes a line, and the time at which it was told.
    fn line(&mut self, mono_ns: u64, line: &Line<'_>);
}

impl Hears for Heard {
    fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        Self::line(self, mono_ns, line);
    }
}

/// Why nothing can be made of what was named.
#[derive(Debug, Error)]
pub enum Unanswered {
    /// It could not be read.
    #[error(transparent)]
    Unread(#[from] ReadError),
    /// No recording begins in it.
    #[error("there is no start of a recording in it; was it made by `whydrop record`?")]
    NoStart,
    #[error(
        "cannot tell: the recording was not closed, so what the kernel counted is not in it; `whydrop replay` shows its lines"
    )]
    /// None of them was closed.
    Open,
}

/// Reads what was named; `note` is told what is odd about it.
pub fn last<T: Hears>(
    paths: &[PathBuf],
    begin: impl Fn(&Start) -> T,
    note: impl Fn(&str),
) -> Result<Closed<T>, Unanswered> {
    let mut recordings = 0;
    let mut open: Option<(T, Start)> = None;
    let mut closed: Option<Closed<T>> = None;
    for told in Source::open(paths)? {
        let recorded = match told {
            Told::Note(text) => {
                note(&text);
                continue;
            }
            Told::Item(recorded) => recorded,
        };
        match (recorded.line(), &mut open, &mut closed) {
            (Line::Start(start), ..) => {
                recordings += 1;
                open = Some((begin(start), start.clone()));
            }
            (Line::Summary(summary), ..) => {
                if let Some((heard, start)) = open.take() {
                    closed = Some(Closed {
                        heard,
                        start,
                        summary: Summary::clone(summary),
                        ended_ns: recorded.mono_ns(),
                    });
                }
            }
            (line, Some((heard, _)), _) | (line, None, Some(Closed { heard, .. })) => {
                heard.line(recorded.mono_ns(), &line);
            }
            (_, None, None) => {}
        }
    }
    if recordings == 0 {
        return Err(Unanswered::NoStart);
    }
    let closed = closed.ok_or(Unanswered::Open)?;
    if recordings > 1 {
        note(&format!(
            "these are {recordings} recordings; the answer is of the last that was closed"
        ));
    }
    Ok(closed)
}
