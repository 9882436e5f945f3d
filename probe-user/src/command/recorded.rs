//! What a command makes of a recording instead of a watch: the lines of the last recording that was closed.

use std::path::PathBuf;

use super::Failure;
use crate::{
    model::{Line, Start, Summary},
    source::replay::{Source, Told},
};

/// A recording that was read.
pub(super) struct Read<T> {
    /// What was made of its lines.
    pub heard: T,
    pub start: Start,
    pub summary: Summary,
    /// When the summary was told.
    pub ended_ns: u64,
}

/// Whoever hears lines, each with its time.
pub(super) trait Hears {
    fn line(&mut self, mono_ns: u64, line: &Line<'_>);
}

/// Reads what was named. What is odd about it is told on standard error.
pub(super) fn read<T: Hears>(
    paths: &[PathBuf],
    begin: impl Fn(&Start) -> T,
) -> Result<Read<T>, Failure> {
    let mut recordings = 0;
    let mut open: Option<(T, Start)> = None;
    let mut closed: Option<Read<T>> = None;
    for told in Source::open(paths).map_err(Failure::usage)? {
        let recorded = match told {
            Told::Note(note) => {
                eprintln!("whydrop: {note}");
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
                    closed = Some(Read {
                        heard,
                        start,
                        summary: Summary::clone(summary),
                        ended_ns: recorded.mono_ns(),
                    });
                }
            }
            (line, Some((heard, _)), _) | (line, None, Some(Read { heard, .. })) => {
                heard.line(recorded.mono_ns(), &line);
            }
            (_, None, None) => {}
        }
    }
    if recordings == 0 {
        return Err(Failure::failed(
            "there is no start of a recording in it; was it made by `whydrop record`?",
        ));
    }
    let read = closed.ok_or_else(|| {
        Failure::failed(
            "cannot tell: the recording was not closed, so what the kernel counted is not in it; `whydrop replay` shows its lines",
        )
    })?;
    if recordings > 1 {
        eprintln!(
            "whydrop: these are {recordings} recordings; the answer is of the last that was closed"
        );
    }
    Ok(read)
}

/// The number that `--netns` means of a recording: names and processes of then are not there any more.
pub(super) fn netns_of(spec: &str) -> Result<Option<u32>, Failure> {
    match spec {
        "all" => Ok(None),
        spec => spec.parse().map(Some).map_err(|_| {
            Failure::usage(format!(
                "`{spec}` is no number; with --from, --netns takes the number that lines show"
            ))
        }),
    }
}
