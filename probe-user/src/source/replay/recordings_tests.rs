//! Recordings that are kept in tests/recordings, replayed: as they were told, anew, and without their clients.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::{
    filter::Filter,
    model::{
        Asked, Line,
        kind::Kind,
        outcome::{Outcome, Why},
        story::Story,
    },
    sink::{Format, Reporter},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/recordings")
}

/// Items with their lines, of a recording that lacks nothing.
fn items(name: &str) -> Vec<(Recorded, String)> {
    let mut source = Source::open(&[folder().join(name)]).expect("a recording");
    let mut items = Vec::new();
    while let Some(told) = source.next() {
        match told {
            Told::Item(recorded) => {
                let line = String::from_utf8(source.line().to_vec()).expect("UTF-8");
                items.push((recorded, line));
            }
            Told::Note(note) => panic!("{note}"),
        }
    }
    items
}

fn told<'a>(format: Format, items: impl IntoIterator<Item = &'a Recorded>) -> String {
    let mut text = String::new();
    let mut reporter = None;
    for recorded in items {
        if let Some(start) = recorded.start() {
            reporter = Some(Reporter::of(format, start));
        }
        let reporter = reporter.as_mut().expect("a start");
        if let Line::Clock(clock) = recorded.line() {
            reporter.set_clock(clock);
        }
        reporter.write(recorded.mono_ns(), &recorded.line(), &mut text);
    }
    text
}

#[track_caller]
fn check(format: Format, ending: &str) {
    let expect = std::fs::read_to_string(folder().join(format!("overflow.{ending}")));
    let items = items("overflow.whydrop");
    let got = told(format, items.iter().map(|(recorded, _)| recorded));
    let expect = expect.expect("what is told");
    for (got, expect) in got.lines().zip(expect.lines()) {
        assert_eq!(got, expect);
    }
    assert_eq!(got, expect);
}

#[test]
fn a_recording_that_is_kept_is_told_as_text() {
    check(Format::Text, "txt");
}

#[test]
fn a_recording_that_is_kept_is_told_as_json() {
    check(Format::Json, "jsonl");
}

/// What stages make of a recording: all that is told, and what beside it.
fn anew(wanted: Wanted, items: Vec<Recorded>) -> (Vec<Recorded>, Vec<String>) {
    let mut anew = Anew::new(wanted, Filter::default());
    let (mut passed, mut notes) = (Vec::new(), Vec::new());
    for recorded in items {
        if let Some(start) = recorded.start() {
            notes.extend(anew.begin(start));
        }
        anew.pass(recorded, &mut passed);
    }
    anew.end(None, &mut passed);
    let all = passed.into_iter().map(|one| match one {
        Passed::Recorded(one) | Passed::Made(one) => one,
    });
    (all.collect(), notes)
}

fn recorded() -> Vec<Recorded> {
    let items = items("overflow.whydrop").into_iter();
    items.map(|(recorded, _)| recorded).collect()
}

fn stories(of: &[Recorded]) -> Vec<&Story> {
    let stories = of.iter().filter_map(|recorded| match recorded.line() {
        Line::Story(story) => Some(story),
        _ => None,
    });
    stories.collect()
}

#[test]
fn stories_that_are_made_again_are_those_that_were_told() {
    let wanted = Wanted {
        again: true,
        ..Wanted::default()
    };
    let (all, notes) = anew(wanted, recorded());
    assert_eq!(notes, Vec::<String>::new());
    let sorted = |of: &[Recorded]| {
        let mut words: Vec<String> = stories(of).iter().map(|s| format!("{s:?}")).collect();
        words.sort();
        words
    };
    let before = recorded();
    assert_eq!(sorted(&all), sorted(&before));
    assert_eq!(sorted(&all).len(), 5);
    // The summary has them, too.
    let summary = |of: &[Recorded]| told(Format::Json, of).lines().last().map(str::to_owned);
    assert_eq!(summary(&all), summary(&before));
}

/// The same as a watch without `--stories` and `--stats` would have recorded it.
fn plain() -> Vec<Recorded> {
    let mut items = recorded();
    items.retain(|recorded| match recorded {
        Recorded::Event(seen) => seen.event.kind != Kind::Connected,
        Recorded::Other(item) => !matches!(item.what, What::Story(_) | What::Stats(_)),
    });
    for recorded in &mut items {
        if let Recorded::Other(item) = recorded {
            match &mut item.what {
                What::Start(start) => start.asked = Asked::default(),
                What::Summary(summary) => summary.stories = None,
                _ => {}
            }
        }
    }
    items
}

#[test]
fn what_became_of_attempts_is_not_guessed_where_it_was_not_recorded() {
    let wanted = Wanted {
        stories: true,
        stats_every: Some(std::time::Duration::from_secs(1)),
        warn_percent: Some(80),
        again: false,
    };
    let (all, notes) = anew(wanted, plain());
    let lacks = ["--stories", "--stats", "--warn"];
    assert_eq!(notes.len(), 3, "{notes:?}");
    for (note, lack) in notes.iter().zip(lacks) {
        assert!(note.contains(&format!("without {lack}")), "{note}");
    }
    let found = stories(&all);
    assert_eq!(found.len(), 5, "{found:?}");
    for story in found {
        let why = Why::NotRecorded;
        assert_eq!(story.outcome, Outcome::Unknown { why }, "{story:?}");
    }
    let summary = told(Format::Text, &all);
    assert!(
        summary.contains("5 attempts refused: 5 unknown"),
        "{summary}"
    );
}

#[test]
fn figures_are_told_as_often_as_is_asked_for_and_the_newest_at_the_end() {
    let wanted = Wanted {
        stats_every: Some(std::time::Duration::from_mins(1)),
        ..Wanted::default()
    };
    let (all, notes) = anew(wanted, recorded());
    assert!(notes.is_empty(), "{notes:?}");
    let established = |of: &[Recorded]| -> Vec<u64> {
        let rows = of.iter().filter_map(|recorded| match recorded.line() {
            Line::Stats(row) => Some(row.established),
            _ => None,
        });
        rows.collect()
    };
    assert_eq!(established(&recorded()), [4, 9]);
    assert_eq!(established(&all), [9]);
}

#[test]
fn a_redacted_recording_tells_the_same_of_other_clients() {
    let items = items("overflow.whydrop");
    let mut redaction = Redaction::default();
    for (_, line) in &items {
        redaction.learn(line.as_bytes());
    }
    let lines: Vec<String> = items
        .iter()
        .map(|(recorded, line)| match recorded.start() {
            Some(_) => redaction.replace_start(line),
            None => redaction.replace(line),
        })
        .collect();
    let back: Vec<Recorded> = lines
        .iter()
        .map(|line| parse(line.as_bytes()).expect(line).expect("a known line"))
        .collect();
    for client in [
        "192.0.2.7",
        "192.0.2.8",
        "192.0.2.9",
        "db8::7",
        "db8::8",
        "db8::9",
    ] {
        for line in &lines {
            assert!(!line.contains(client), "{client} in {line}");
        }
    }
    // Each line is the same but for its clients.
    let without = |text: &str| {
        let mut line: serde_json::Value = serde_json::from_str(text).expect("JSON");
        for member in ["client", "client_addr"] {
            if let Some(client) = line.get_mut(member) {
                *client = serde_json::Value::Null;
            }
        }
        line
    };
    let (old, new) = (recorded(), back);
    let (old, new) = (told(Format::Json, &old), told(Format::Json, &new));
    assert_eq!(old.lines().count(), new.lines().count());
    for (old, new) in old.lines().zip(new.lines()) {
        assert_eq!(without(old), without(new));
    }
}

/// Lines that some bytes of others were written into.
fn garbled(seed: &[(usize, usize, usize, usize)]) -> Vec<String> {
    let mut lines: Vec<Vec<u8>> = items("overflow.whydrop")
        .into_iter()
        .map(|(_, line)| line.into_bytes())
        .collect();
    for (line, at, other, from) in seed {
        let other = lines[other % lines.len()].clone();
        let length = from % 7 + 1;
        let from = from % (other.len() - length);
        let line_at = line % lines.len();
        let line = &mut lines[line_at];
        let at = at % (line.len() - length);
        line[at..at + length].copy_from_slice(&other[from..from + length]);
    }
    let text = lines.into_iter().map(String::from_utf8);
    text.filter_map(Result::ok).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_garbled_line_is_redacted_into_one_of_its_kind_and_passes_filters_and_stages(
        seed: [(usize, usize, usize, usize); 32],
    ) {
        let lines = garbled(&seed);
        let mut redaction = Redaction::default();
        for line in &lines {
            redaction.learn(line.as_bytes());
        }
        let filter = Filter {
            listeners: vec![":8080".parse().expect("a listener")],
            ..Filter::default()
        };
        let mut choice = Choice::new(filter, Bounds::default());
        let mut all = Vec::new();
        for line in &lines {
            let Ok(Some(mut before)) = parse(line.as_bytes()) else {
                continue;
            };
            let new = redaction.replace_start(line);
            let after = parse(new.as_bytes());
            let is_same = matches!(
                (&before, &after),
                (Recorded::Event(_), Ok(Some(Recorded::Event(_))))
                    | (Recorded::Other(_), Ok(Some(Recorded::Other(_))))
            );
            prop_assert!(is_same, "{line}\n{new}\n{after:?}");
            choice.takes(&mut before);
            all.push(before);
        }
        let wanted = Wanted {
            stories: true,
            again: true,
            stats_every: Some(std::time::Duration::from_secs(1)),
            ..Wanted::default()
        };
        anew(wanted, all);
    }
}
