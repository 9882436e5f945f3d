//! `whydrop replay --redact clients`: the lines that were chosen go to a new recording, without their clients.

use std::path::Path;

use super::ReplayArgs;
use crate::{
    command::Failure,
    model::Line,
    sink::{
        aside, plural,
        record::{Copy, Target},
    },
    source::replay::{Choice, Read, Reader, Redaction, Source, Told, identify},
};

/// Who is left out of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Redact {
    /// Each address that is not known to be this host's own
    Clients,
}

pub(super) fn run(args: &ReplayArgs, mut choice: Choice, to: &Path) -> Result<(), Failure> {
    if args.files.iter().any(|file| file.as_os_str() == "-") {
        return Err(Failure::usage(
            "--redact reads a recording twice, and standard input can be read only once; name the file",
        ));
    }
    let mut redaction = learn(args)?;
    let mut source = Source::open(&args.files).map_err(Failure::usage)?;
    let mut copy = None;
    let mut lines = 0_usize;
    while let Some(told) = source.next() {
        let mut recorded = match told {
            Told::Note(note) => {
                aside(note);
                continue;
            }
            Told::Item(recorded) => recorded,
        };
        let start = recorded.start();
        let is_start = start.is_some();
        if let Some(start) = start {
            choice.begin(start).map_err(Failure::usage)?;
        }
        if !choice.takes(&mut recorded) {
            continue;
        }
        let line = String::from_utf8_lossy(source.line());
        // That of a part that another one precedes comes as the time that it tells.
        let line = match recorded.line() {
            Line::Start(_) | Line::Clock(_) => redaction.replace_start(&line),
            _ => redaction.replace(&line),
        };
        match &mut copy {
            Some(copy) => Copy::line(copy, &line).map_err(Failure::failed)?,
            None if is_start => copy = Some(Copy::create(&Target::of(to), line + "\n")?),
            None => continue,
        }
        lines += 1;
    }
    let Some(copy) = copy else {
        return Err(super::no_start());
    };
    let path = copy.finish().map_err(Failure::failed)?;
    aside(format_args!(
        "{lines} line{} in {}; addresses replaced: {}",
        plural(lines),
        path.display(),
        redaction.replaced()
    ));
    Ok(())
}

/// Reads all of it, to know who is a client.
fn learn(args: &ReplayArgs) -> Result<Redaction, Failure> {
    let mut redaction = Redaction::default();
    let mut reader = Reader::open(&args.files, identify).map_err(Failure::usage)?;
    while let Some(read) = reader.advance() {
        match read {
            Read::Line { line, .. } => redaction.learn(line),
            // It is told when the lines are read again.
            Read::Problem(_) => {}
        }
    }
    Ok(redaction)
}
