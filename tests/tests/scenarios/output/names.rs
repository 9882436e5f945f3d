//! Names that others chose steer no terminal, in text and in JSON.

use anyhow::{Result, ensure};
use rustix::process::Signal;
use whydrop_tests::command::{Running, whydrop};
use whydrop_tests::family::Family;
use whydrop_tests::holder::{Birth, Holder};
use whydrop_tests::wire::Wire;

/// CSI of C1, a turn of the direction, and a space that nobody sees; fifteen bytes are all that a process has.
const HOSTILE: &std::ffi::CStr = c"a\xc2\x9b31m\xe2\x80\xae\xe2\x80\x8bz";

const HARMFUL: [char; 3] = ['\u{9b}', '\u{202e}', '\u{200b}'];

fn shown_as(format: &str, expected: &str) -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let birth = Birth {
        comm: Some(HOSTILE),
        ..Birth::default()
    };
    let _holder = Holder::born(&listener, birth)?;
    let port = listener.port();
    drop(listener);
    let netns = wire.netns().pid().to_string();
    let arguments = ["--format", format, "--netns", &netns];
    let mut running = Running::start(whydrop("watch", &arguments)?)?;
    while !running.line()?.contains(if format == "json" {
        "\"start\""
    } else {
        "OWNER"
    }) {}
    wire.peer(Family::V4, port).syn()?;
    let line = loop {
        let line = running.line()?;
        if line.contains("overflow") {
            break line;
        }
    };
    ensure!(line.contains(expected), "no {expected:?} in {line:?}");
    running.signal(Signal::INT)?;
    let over = running.finish()?;
    let rest = String::from_utf8(over.stdout)?;
    ensure!(
        !rest.contains(HARMFUL) && !over.stderr.contains(HARMFUL),
        "{rest:?}"
    );
    ensure!(!line.contains(HARMFUL), "{line:?}");
    Ok(())
}

#[test]
fn in_text() -> Result<()> {
    shown_as("text", "a?31m??z")
}

#[test]
fn in_json() -> Result<()> {
    shown_as("json", r#""a\u009b31m\u202e\u200bz""#)
}

#[test]
fn in_a_sentence() -> Result<()> {
    let over = Running::start(whydrop("replay", &["/no\u{9b}31m\u{202e}where"])?)?.finish()?;
    ensure!(!over.stderr.contains(HARMFUL), "{:?}", over.stderr);
    over.ensure_says("/no?31m?where")
}
