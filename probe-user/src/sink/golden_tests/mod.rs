//! What every kind of line and every answer looks like, held against files in `golden/`: one a kind and a form. With
//! `WHYDROP_GOLDEN=write` in the environment the files are written anew; what has changed then shows in the difference.

mod against;
pub(super) mod alarms;
mod answers;
pub(super) mod lines;
mod sentences;

use std::{env, fs, path::Path};

use self::lines::{Sample, samples};
use super::{
    Format, Reporter,
    event_tests::{AT_NS, reporter},
};
use crate::model::Line;

/// When lines are told.
const TOLD_NS: u64 = AT_NS + 7_000_000_000;

/// Each kind of line and its name: a kind that is added to `Line` does not compile without one here, and fails without a sample.
macro_rules! kinds {
    ($($kind:ident => $name:literal,)*) => {
        const KINDS: &[&str] = &[$($name),*];

        const fn name(line: &Line<'_>) -> &'static str {
            match line {
                $(Line::$kind { .. } => $name,)*
            }
        }
    };
}

kinds! {
    Start => "start",
    Event => "events",
    Tick => "tick",
    Loss => "loss",
    Residual => "residual",
    Sampled => "sampled",
    Stats => "stats",
    Story => "story",
    Incident => "incident",
    Heartbeat => "heartbeat",
    Summary => "summary",
    Observed => "observed",
    Clock => "clock",
    Ended => "ended",
}

/// The text of that file in `golden/`.
fn golden(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_default()
}

fn path(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/sink/golden")
        .join(file)
}

fn are_written_anew() -> bool {
    env::var_os("WHYDROP_GOLDEN").is_some_and(|what| what == "write")
}

/// Holds `text` against the file, line by line.
pub(super) fn check(file: &str, text: &str) {
    if are_written_anew() {
        // What says nothing in this form has no file.
        if !text.is_empty() {
            fs::write(path(file), text).expect("a golden file is written");
        }
        return;
    }
    let expect = golden(file);
    for (got, expect) in text.lines().zip(expect.lines()) {
        assert_eq!(got, expect, "{file}");
    }
    assert_eq!(text, expect, "{file}");
}

/// The reporter, and what its files are called behind the kind.
fn forms() -> [(Reporter, &'static str); 3] {
    let whole = Reporter {
        is_whole: true,
        ..reporter(Format::Json)
    };
    [
        (reporter(Format::Text), "txt"),
        (reporter(Format::Json), "jsonl"),
        (whole, "recorded.jsonl"),
    ]
}

fn write(reporter: &mut Reporter, of: &str, samples: &[Sample]) -> String {
    let mut text = String::new();
    for sample in samples {
        let line = sample.line();
        if name(&line) == of {
            reporter.write(TOLD_NS, &line, &mut text);
        }
    }
    text
}

#[test]
fn every_kind_of_line_looks_as_it_did() {
    let samples = samples();
    for (mut reporter, form) in forms() {
        for kind in KINDS {
            check(
                &format!("{kind}.{form}"),
                &write(&mut reporter, kind, &samples),
            );
        }
    }
}

#[test]
fn every_kind_of_line_has_a_sample() {
    let samples = samples();
    let [.., (mut whole, _)] = forms();
    for kind in KINDS {
        assert_ne!(write(&mut whole, kind, &samples), "", "no sample of {kind}");
    }
}

/// Nothing was released that wrote schema 1, and its recordings cost nothing: what they lack is not known.
#[test]
fn recordings_of_schema_1_are_read() {
    let file = "schema-1.recorded.jsonl";
    for line in golden(file).lines() {
        let back = crate::source::replay::parse(line.as_bytes());
        assert!(matches!(back, Ok(Some(_))), "{line} is {back:?}");
    }
    assert!(golden(file).lines().count() > KINDS.len());
}

#[test]
fn every_line_comes_back_from_a_recording_as_it_was() {
    // Then they are not all there yet.
    if are_written_anew() {
        return;
    }
    let [_, _, (mut whole, form)] = forms();
    for kind in KINDS {
        for line in golden(&format!("{kind}.{form}")).lines() {
            let back = crate::source::replay::parse(line.as_bytes())
                .expect(line)
                .expect(line);
            let mut again = String::new();
            whole.write(back.mono_ns(), &back.line(), &mut again);
            assert_eq!(again.trim_end(), line);
        }
    }
}
