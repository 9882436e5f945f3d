//! What was answered is answered again from the recording alone. (Every answer that these tests ask for is asked for
//! again, as JSON; here is what that leaves out.)

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Command, Output};

use whydrop_tests::answer::again;
use whydrop_tests::command::{Running, whydrop};
use whydrop_tests::deadline::{ready, wait_until};
use whydrop_tests::whydrop::{Watch, binary, forced_tier};

use super::*;
use crate::lifecycle::Scratch;

fn why_of(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(binary()?)
        .arg("why")
        .args(arguments)
        .output()?)
}

fn said(output: &Output) -> Result<String> {
    ensure!(
        output.status.success(),
        "{:?}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout.clone())?)
}

/// Looks at one process that make a stretch of them.
const LOOKS: usize = 20;

/// How many looks at processes the recording has by now. Its last frame may not be whole yet.
fn looks_at_processes(file: &Path) -> Result<usize> {
    let mut text = Vec::new();
    let read = zstd::Decoder::new(File::open(file)?)?.read_to_end(&mut text);
    if let Err(error) = read {
        ensure!(error.kind() == ErrorKind::UnexpectedEof, "{error}");
    }
    let text = String::from_utf8_lossy(&text);
    Ok(text.matches(r#""type":"observed-process""#).count())
}

/// The words are the same, but that nothing is watched; and a recording that is there is not overwritten.
#[test]
fn recorded_answer_in_the_same_words() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, BACKLOG, Work::Sleep)?;
    let _clients = come_at_once(&netns, to)?;
    let recording = Scratch::new("why.whydrop");
    let file = recording.0.to_str().context("no UTF-8")?;
    let (target, pid) = (to.to_string(), netns.pid().to_string());
    let tier = forced_tier().map(|tier| format!("--tier={tier}"));
    let mut live = vec![&target, "--for", WATCHED, "--netns", &pid, "--record", file];
    live.extend(tier.as_deref());
    let watched = said(&why_of(&live)?)?;
    let again = said(&why_of(&[&target, "--from", file])?)?;
    let expected: String = watched
        .lines()
        .filter(|line| !line.starts_with("watching for "))
        .map(|line| format!("{line}\n"))
        .collect();
    ensure!(again == expected, "live:\n{watched}\nagain:\n{again}");
    ensure!(
        again.contains("refused") || again.contains("overflow"),
        "{again}"
    );
    let from = said(&why_of(&[&target, "--from", file, "--format", "json"])?)?;
    let replayed = Command::new(binary()?)
        .args(["replay", "--again", "--format", "json", file])
        .output()?;
    let replayed = said(&replayed)?;
    ensure!(
        replayed.lines().last() == from.lines().last(),
        "{from}\nreplayed:\n{replayed}"
    );
    let refused = why_of(&live)?;
    ensure!(refused.status.code() == Some(2), "{:?}", refused.status);
    Ok(())
}

/// A recording of one port says nothing of another: not that nothing happened there.
#[test]
fn recorded_answer_of_something_else() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, BACKLOG, Work::Sleep)?;
    let recording = Scratch::new("why-other.whydrop");
    let file = recording.0.to_str().context("no UTF-8")?;
    let (target, pid) = (to.to_string(), netns.pid().to_string());
    let tier = forced_tier().map(|tier| format!("--tier={tier}"));
    let mut live = vec![&target, "--for", "500ms", "--netns", &pid, "--record", file];
    live.extend(tier.as_deref());
    said(&why_of(&live)?)?;
    let same = said(&why_of(&[&target, "--from", file])?)?;
    ensure!(same.contains("nothing was refused or dropped"), "{same}");
    let other = said(&why_of(&["127.0.0.1:1", "--from", file])?)?;
    ensure!(other.contains("cannot tell"), "{other}");
    ensure!(other.contains("only this was recorded"), "{other}");
    Ok(())
}

/// A recording of the whole host, which nobody asked about anything yet, has what it takes.
#[test]
fn recorded_by_a_watch_of_the_whole_host() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, BACKLOG, Work::Sleep)?;
    let recording = Scratch::new("host.whydrop");
    let file = recording.0.to_str().context("no UTF-8")?;
    let watching = Watch::new().args(["--record", file]).start()?;
    let crowd = Crowd::new(&netns, to);
    let mut rounds = 0;
    wait_until("looks at its owner in the recording", ready(), || {
        crowd.come()?;
        // They come in all the time, and the recording is read now and then.
        rounds += 1;
        Ok(rounds % 64 == 0 && looks_at_processes(&recording.0)? >= LOOKS)
    })?;
    let stopped = watching.stop()?;
    ensure!(
        stopped.code == Some(0),
        "{:?}: {}",
        stopped.code,
        stopped.stderr
    );
    let answer = again(&[&to.to_string()], &recording.0)?;
    expect(&answer, &["acceptor-blocked"])?;
    ensure!(answer["missing"] == serde_json::json!([]), "{answer:#}");
    ensure!(answer["listeners"].is_null(), "{answer:#}");
    Ok(())
}

/// A recording that was cut off does not say what the kernel counted, and so nothing that happened or did not.
#[test]
fn recorded_answer_that_was_cut_off() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, BACKLOG, Work::Sleep)?;
    let recording = Scratch::new("why-killed.whydrop");
    let file = recording.0.to_str().context("no UTF-8")?;
    let (target, pid) = (to.to_string(), netns.pid().to_string());
    let mut command = whydrop("why", &[&target, "--for", "10m", "--netns", &pid])?;
    command.args(["--record", file]);
    let running = Running::start(command)?;
    wait_until("a recording that begins", ready(), || {
        let replayed = Command::new(binary()?).args(["replay", file]).output()?;
        Ok(replayed.status.success())
    })?;
    running.signal(Signal::KILL)?;
    running.finish()?;
    let again = why_of(&[&target, "--from", file])?;
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    ensure!(again.status.code() == Some(1), "{:?}: {said}", again.status);
    ensure!(said.contains("cannot tell"), "{said}");
    ensure!(again.stdout.is_empty(), "{:?}", again.stdout);
    Ok(())
}
