//! The lines of a whydrop, collected by a thread while the test goes on.

use std::io::BufRead;
use std::sync::{Arc, Condvar, Mutex};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::event::Event;
use crate::schema::Schema;

/// What it has written so far.
#[derive(Default)]
pub struct Heard {
    pub events: Vec<Event>,
    /// Everything else: readiness, losses, the summary.
    pub others: Vec<Value>,
    pub closed: bool,
}

/// Of a flood so many events are held against the schema, and of the others one in a hundred.
const CHECKED: usize = 1000;

pub type Shared = Arc<(Mutex<Heard>, Condvar)>;

/// What is left of one that has ended.
pub struct Stopped {
    pub code: Option<i32>,
    pub events: Vec<Event>,
    /// The lines that are no events.
    pub others: Vec<Value>,
    pub stderr: String,
}

impl Heard {
    pub fn start(&self) -> Option<&Value> {
        self.others.iter().find(|line| line["type"] == "start")
    }
}

impl Stopped {
    /// It ended with status 0; the error has what it said.
    pub fn ended_well(&self) -> Result<()> {
        ensure!(
            self.code == Some(0),
            "exit code {:?}, stderr: {}",
            self.code,
            self.stderr
        );
        Ok(())
    }

    /// What it said at its start that it cannot see here.
    pub fn blind(&self) -> Result<Vec<String>> {
        let start = self.others.iter().find(|line| line["type"] == "start");
        Ok(blind(start.context("no readiness line")?))
    }

    pub fn summary(&self) -> Result<&Value> {
        let summary = self.others.iter().find(|line| line["type"] == "summary");
        summary.with_context(|| {
            format!(
                "no summary line; exit code {:?}, stderr: {}",
                self.code, self.stderr
            )
        })
    }

    pub fn events_in(&self, netns: u64) -> impl Iterator<Item = &Event> {
        self.events
            .iter()
            .filter(move |event| event.netns() == Some(netns))
    }
}

/// A line has this number at this JSON pointer.
pub fn ensure_number(line: &Value, path: &str, expected: u64) -> Result<()> {
    let found = line.pointer(path).and_then(Value::as_u64);
    ensure!(
        found == Some(expected),
        "{path} is {found:?}, not {expected}: {line}"
    );
    Ok(())
}

/// Kinds and causes that a readiness line says cannot be seen on its tier and
/// kernel.
pub fn blind(start: &Value) -> Vec<String> {
    let names = start["blind"].as_array().into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Reads lines until whydrop closes its output, and holds each against its schema. Of events only these fields are
/// kept, or all.
pub fn listen(output: impl BufRead, kept: Option<&[&str]>, shared: &Shared) -> Result<()> {
    let result = Schema::of_binary().and_then(|schema| take(output, kept, shared, schema));
    change(shared, |heard| heard.closed = true);
    result
}

fn take(
    output: impl BufRead,
    kept: Option<&[&str]>,
    shared: &Shared,
    schema: &Schema,
) -> Result<()> {
    let mut events = 0;
    output.split(b'\n').try_for_each(|line| {
        let line = line?;
        let mut value: Value = serde_json::from_slice(&line)
            .with_context(|| format!("no JSON: {}", String::from_utf8_lossy(&line)))?;
        let is_event = value["type"] == "event";
        events += usize::from(is_event);
        // A reader that is too slow would lose lines, and then the flood was no test of whydrop.
        let is_one_of_many = is_event && kept.is_some() && events > CHECKED && events % 100 > 0;
        if !is_one_of_many {
            let checked = schema.check(&value);
            checked.with_context(|| format!("against `whydrop schema`: {value}"))?;
        }
        if let (true, Some(kept), Some(fields)) = (is_event, kept, value.as_object_mut()) {
            fields.retain(|name, _| kept.contains(&name.as_str()));
        }
        change(shared, |heard| {
            if is_event {
                heard.events.push(Event(value));
            } else {
                heard.others.push(value);
            }
        });
        Ok(())
    })
}

fn change(shared: &Shared, change: impl FnOnce(&mut Heard)) {
    // A test that panicked while it looked has failed already.
    if let Ok(mut heard) = shared.0.lock() {
        change(&mut heard);
        shared.1.notify_all();
    }
}
