//! The schema against the lines that are written, and docs/output.md against the schema.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use whydrop_tests::schema::Schema;

use super::schema;

fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every line of JSON that the golden files have, but those of recordings.
fn golden_lines() -> Vec<Value> {
    let folder = manifest().join("src/sink/golden");
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).expect("golden files") {
        let path = entry.expect("a golden file").path();
        let name = path.to_string_lossy();
        if name.ends_with(".jsonl") && !name.ends_with(".recorded.jsonl") {
            let text = fs::read_to_string(&path).expect("a text");
            lines.extend(
                text.lines()
                    .map(|line| serde_json::from_str::<Value>(line).expect("JSON")),
            );
        }
    }
    lines
}

#[test]
fn every_line_fits_the_schema() {
    let schema = Schema::of(&schema()).expect("a schema that is understood");
    let lines = golden_lines();
    assert!(lines.len() > 50, "{} lines", lines.len());
    for line in lines {
        if let Err(why) = schema.check(&line) {
            panic!("{why}: {line}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let schema = Schema::of(&schema()).expect("a schema that is understood");
    let check = |line: &Value, change: &dyn Fn(&mut Value)| {
        let mut line = line.clone();
        change(&mut line);
        assert!(schema.check(&line).is_err(), "{line}");
    };
    for line in golden_lines() {
        check(&line, &|line| line["not_in_any_schema"] = 1.into());
        check(&line, &|line| line["type"] = "other".into());
    }
    let events = golden_lines();
    let event = events
        .iter()
        .find(|line| line["type"] == "event" && line["listener"]["port"] == 8080);
    let event = event.expect("an event");
    check(event, &|line| line["kind"] = "other".into());
    check(event, &|line| line["client_port"] = "80".into());
    check(event, &|line| line["cpu"] = Value::from(-1));
    check(event, &|line| {
        line["listener"]["cookie"] = Value::Bool(true);
    });
    check(event, &|line| {
        line.as_object_mut().map(|line| line.remove("late"));
    });
}

/// Names of all members that the schema has, at any depth.
fn members(schema: &Value, to: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        to.extend(properties.keys().cloned());
    }
    match schema {
        Value::Object(all) => all.values().for_each(|one| members(one, to)),
        Value::Array(all) => all.iter().for_each(|one| members(one, to)),
        _ => {}
    }
}

/// Names of all members that a line has, at any depth, but keys that are names of something.
fn members_of_line(line: &Value, to: &mut BTreeSet<String>) {
    match line {
        Value::Object(all) => {
            to.extend(all.keys().cloned());
            all.values().for_each(|one| members_of_line(one, to));
        }
        Value::Array(all) => all.iter().for_each(|one| members_of_line(one, to)),
        _ => {}
    }
}

#[test]
fn every_member_of_the_schema_is_in_some_line() {
    let mut known = BTreeSet::new();
    members(&schema(), &mut known);
    let mut seen = BTreeSet::new();
    for line in golden_lines() {
        members_of_line(&line, &mut seen);
    }
    // Of lines that recordings alone have.
    seen.insert("ahead_ns".into());
    let missing: Vec<&String> = known.difference(&seen).collect();
    assert!(missing.is_empty(), "in no golden line: {missing:?}");
}

fn docs() -> String {
    let path = manifest().join("../docs/output.md");
    fs::read_to_string(path).expect("docs/output.md")
}

/// What stands in backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_member_of_the_schema_is_in_the_docs() {
    let mut known = BTreeSet::new();
    members(&schema(), &mut known);
    let docs = docs();
    let told: BTreeSet<&str> = code(&docs).collect();
    let missing: Vec<&String> = known
        .iter()
        .filter(|member| !told.contains(member.as_str()))
        .collect();
    assert!(missing.is_empty(), "not in docs/output.md: {missing:?}");
}

#[test]
fn every_member_in_the_docs_is_in_the_schema() {
    let mut known = BTreeSet::new();
    members(&schema(), &mut known);
    let (mut is_of_members, mut rows) = (false, 0);
    for line in docs().lines() {
        let Some(row) = line.strip_prefix("| ") else {
            // Not the line below a head.
            is_of_members &= line.starts_with("|-");
            continue;
        };
        let Some((first, _)) = row.split_once(" |") else {
            continue;
        };
        if first == "field" {
            is_of_members = true;
        } else if is_of_members {
            rows += 1;
            for member in code(first) {
                assert!(
                    known.contains(member),
                    "{member} of docs/output.md is nowhere"
                );
            }
        }
    }
    assert!(rows > 50, "{rows} rows");
}
