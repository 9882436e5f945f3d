//! Scenes that were recorded, answered again without root. What is made of each stands beside them in `answers.txt`; with
//! `WHYDROP_GOLDEN=write` in the environment that is written anew, and what a rule has learnt shows in the difference.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::{
    filter::{Filter, ListenerFilter},
    model::{Answered, Observed, incident::Incident},
    source::replay::{Anew, Passed, Recorded, Source, Told, Wanted},
};

fn items(path: &Path) -> impl Iterator<Item = Recorded> {
    let all = Source::open(&[path.to_owned()]).expect("a recording");
    all.map(move |told| match told {
        Told::Item(recorded) => recorded,
        Told::Note(note) => panic!("{note}"),
    })
}

/// What was answered when it was recorded.
fn answered(path: &Path) -> Answered {
    let found = items(path).filter_map(|recorded| match recorded.line() {
        Line::Observed(Observed::Answered(answered)) => Some(Answered::clone(answered)),
        _ => None,
    });
    found.last().expect("an answer")
}

fn again(path: &Path, then: &Answered) -> Answer {
    let asked = Asked {
        target: then.target.parse::<ListenerFilter>().expect("a target"),
        client: (then.client.as_ref()).map(|who| who.parse().expect("a client")),
        netns: None,
    };
    let read = read(&[path.to_owned()], |start| Inquiry::new(&asked, start));
    let read = read.unwrap_or_else(|failure| panic!("{}: {}", path.display(), failure.message));
    read.heard.answer(&read.summary)
}

/// How often attempts ended how, as far as it was recorded.
fn outcomes(path: &Path) -> BTreeMap<String, u64> {
    let wanted = Wanted {
        stories: true,
        ..Wanted::default()
    };
    let mut anew = Anew::new(wanted, Filter::default());
    let mut passed = Vec::new();
    for recorded in items(path) {
        if let Some(start) = recorded.start() {
            anew.begin(start);
        }
        anew.pass(recorded, &mut passed);
    }
    anew.end(None, &mut passed);
    let mut outcomes = BTreeMap::new();
    for one in &passed {
        let (Passed::Recorded(recorded) | Passed::Made(recorded)) = one;
        if let Line::Story(story) = recorded.line() {
            *outcomes.entry(story.outcome.name().to_owned()).or_default() += 1;
        }
    }
    outcomes
}

fn of_incident(incident: &Incident, answer: &Answer) -> String {
    let began = answer.clock.at(incident.start_ns);
    let ms = (incident.end_ns - incident.start_ns) / 1_000_000;
    format!("from {began} for {ms} ms: {}", counts(&incident.causes))
}

fn counts(of: &BTreeMap<String, u64>) -> String {
    let words = of.iter().map(|(name, n)| format!("{n} {name}"));
    words.collect::<Vec<_>>().join(", ")
}

/// Verdicts with where their evidence is from, incidents, and what became of attempts.
fn made_of(path: &Path, answer: &Answer) -> String {
    let mut text = String::new();
    for verdict in (answer.answers.iter()).flat_map(|one| &one.diagnosis.verdicts) {
        let from: Vec<&str> = verdict.evidence.iter().map(|one| one.from).collect();
        let _ = writeln!(
            text,
            "  {} ({}): {}",
            verdict.id,
            verdict.confidence.name(),
            from.join("; ")
        );
    }
    for incident in &answer.incidents.incidents {
        let _ = writeln!(text, "  incident {}", of_incident(incident, answer));
    }
    let _ = writeln!(text, "  attempts: {}", counts(&outcomes(path)));
    text
}

/// `SCENARIO.VERDICT+VERDICT.whydrop`, as `cargo xtask lab --record` names them. What was answered when it was recorded
/// does not bind: rules learn.
fn check(folder: &str, at_least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/recordings")
        .join(folder);
    let files = fs::read_dir(&folder).expect("a folder of recordings");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "whydrop"));
    files.sort();
    assert!(files.len() >= at_least, "{} recordings", files.len());
    let mut all = String::new();
    for path in files {
        let name = path.file_stem().expect("a name").to_string_lossy();
        let (_, named) = name.split_once('.').expect("verdicts in its name");
        let answer = again(&path, &answered(&path));
        let now = Answered::of(answer.mono_ns, &answer);
        let ids: Vec<&str> = now.verdicts.iter().map(|verdict| &*verdict.id).collect();
        let ids = match ids.as_slice() {
            [] => "none".to_owned(),
            ids => ids.join("+"),
        };
        assert_eq!(ids, named, "{name}");
        let _ = writeln!(all, "{name}");
        all += &made_of(&path, &answer);
    }
    let file = folder.join("answers.txt");
    if env::var_os("WHYDROP_GOLDEN").is_some_and(|what| what == "write") {
        fs::write(&file, all).expect("answers are written");
        return;
    }
    let expect = fs::read_to_string(&file).expect("answers");
    for (got, expect) in all.lines().zip(expect.lines()) {
        assert_eq!(got, expect);
    }
    assert_eq!(all, expect);
}

#[test]
fn every_recorded_scene_is_answered_as_before() {
    check("scenes", 20);
}

/// On the trampolines of 6.12, which the kernel of a laboratory may not have.
#[test]
fn every_recorded_scene_of_trampolines_is_answered_as_before() {
    check("scenes-6.12", 20);
}

/// Servers of Debian and others, on the same kernel as the scenes.
#[test]
fn every_recorded_server_is_answered_as_before() {
    check("servers", 40);
}
