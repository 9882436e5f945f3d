//! What is recorded comes back: byte for byte what was printed live, also from a recording that nobody closed.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use whydrop_tests::deadline::{ready, wait_until};
use whydrop_tests::event::Event;
use whydrop_tests::flood::{Flood, clients};
use whydrop_tests::whydrop::{Watch, Whydrop, binary, forced_tier, run};
use whydrop_tests::wire::Wire;

use crate::lifecycle::Scratch;

/// Enough for lines that are left out of the detail, too.
const SYNS: usize = 3000;

/// Everything that a watch has to tell.
const ALL: [&str; 7] = [
    "--stories",
    "--stats",
    "200ms",
    "--warn",
    "50%",
    "--events",
    "all",
];

fn text_of(file: &Scratch) -> Result<&str> {
    file.0.to_str().context("no UTF-8")
}

/// Watches the host, and a flood into a full queue; what it printed, and what it recorded.
fn watched(format: &str, live: &Scratch, recording: &Scratch) -> Result<()> {
    watched_at(&Wire::new()?, &[], format, live, recording)
}

fn watched_at(
    wire: &Wire,
    options: &[&str],
    format: &str,
    live: &Scratch,
    recording: &Scratch,
) -> Result<()> {
    let listener = wire.full_listener()?;
    let mut command = Command::new(binary()?);
    command.args(["watch", "--format", format]).args(ALL);
    command.args(options);
    command.args(["--output", text_of(live)?, "--record", text_of(recording)?]);
    if let Some(tier) = forced_tier() {
        command.args(["--tier", &tier]);
    }
    let whydrop = Whydrop::spawn(command)?;
    let printed = || fs::read_to_string(&live.0).unwrap_or_default();
    wait_until("the readiness line", ready(), || {
        Ok(printed().contains("watching ") || printed().contains(r#""start""#))
    })?;
    let flood = Flood {
        clients: clients(64, 1),
        to: listener.address(),
        syns: SYNS,
        limit: std::time::Duration::from_secs(20),
        threads: 1,
    };
    flood.ready(wire)?.run(&AtomicBool::new(false))?;
    wait_until("figures of the listener", ready(), || {
        Ok(printed().contains("established"))
    })?;
    drop(listener);
    let stopped = whydrop.stop()?;
    ensure!(
        stopped.code == Some(0),
        "{:?}: {}",
        stopped.code,
        stopped.stderr
    );
    Ok(())
}

/// What `replay` prints, and what it says beside.
fn replayed(format: &str, recording: &str) -> Result<(Vec<u8>, String)> {
    let output = Command::new(binary()?)
        .args(["replay", "--format", format, recording])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{:?}: {said}", output.status);
    Ok((output.stdout, said))
}

fn check(format: &str) -> Result<()> {
    let live = Scratch::new(&format!("live.{format}"));
    let recording = Scratch::new(&format!("{format}.whydrop"));
    watched(format, &live, &recording)?;
    let (told, said) = replayed(format, text_of(&recording)?)?;
    ensure!(said.is_empty(), "{said}");
    let printed = fs::read(&live.0)?;
    ensure!(printed.len() > 1000, "{} bytes printed", printed.len());
    if let Some(at) =
        (0..printed.len().max(told.len())).find(|at| printed.get(*at) != told.get(*at))
    {
        let around = |all: &[u8]| {
            let from = at.saturating_sub(200);
            let to = (at + 100).min(all.len());
            String::from_utf8_lossy(all.get(from..to).unwrap_or_default()).into_owned()
        };
        anyhow::bail!(
            "byte {at} differs; live:\n{}\nreplayed:\n{}",
            around(&printed),
            around(&told)
        );
    }
    let mode = fs::metadata(&recording.0)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "mode {mode:o}");
    Ok(())
}

#[test]
fn text_is_told_again_byte_for_byte() -> Result<()> {
    check("text")
}

#[test]
fn json_is_told_again_byte_for_byte() -> Result<()> {
    check("json")
}

/// Ends with its test, however that ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A flood, and another one; what is said of the time until the second began and from there on is what the kernel counted.
#[test]
fn span_has_what_the_kernel_counted() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let recording = Scratch::new("span.whydrop");
    let watch = Watch::new()
        .args(["--netns", &wire.netns().pid().to_string()])
        .args(["--detail", "all", "--record", text_of(&recording)?]);
    let whydrop = watch.start()?;
    let is_overflow = |event: &Event| event.is("overflow");
    let mut counted = Vec::new();
    for syns in [70, 40] {
        let before = wire.netns().counters()?;
        let seen = whydrop.events(is_overflow)?.len();
        let flood = Flood {
            clients: clients(8, 1),
            to: listener.address(),
            syns,
            limit: std::time::Duration::from_secs(20),
            threads: 1,
        };
        flood.ready(&wire)?.run(&AtomicBool::new(false))?;
        whydrop.wait_events(seen + syns, "the flood", is_overflow)?;
        let moved = wire.netns().counters()?.since(&before);
        counted.push(moved.get("ListenOverflows"));
    }
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    ensure!(counted.iter().all(|n| *n > 0), "{counted:?}");
    let overflows = stopped.events.iter().filter(|event| is_overflow(event));
    let mut times = overflows.map(|event| event.0["ts"].as_str());
    let second = times.nth(counted[0] as usize).flatten();
    let second = second.context("no event of the second flood")?;
    for (bound, n) in [("--until", counted[0]), ("--since", counted[1])] {
        let said = run(&[
            "replay",
            "--format",
            "json",
            bound,
            second,
            text_of(&recording)?,
        ])?
        .stderr;
        let expected = format!("ListenOverflows {n}");
        ensure!(
            said.trim_end().ends_with(&expected),
            "{bound} {second}: not {n} in {said}"
        );
    }
    Ok(())
}

/// SIGKILL leaves a file that holds all but the last second, and says that it was not closed.
#[test]
fn killed() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let recording = Scratch::new("killed.whydrop");
    let said = Scratch::new("killed.stderr");
    let mut command = Command::new(binary()?);
    command.args([
        "record",
        "--detail",
        "all",
        "--listener",
        &listener.address().to_string(),
        "--output",
        text_of(&recording)?,
    ]);
    if let Some(tier) = forced_tier() {
        command.args(["--tier", &tier]);
    }
    let whydrop = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&said.0)?)
        .spawn()?;
    let mut whydrop = Killed(whydrop);
    wait_until("that it watches", ready(), || {
        let said = fs::read_to_string(&said.0).unwrap_or_default();
        Ok(said.contains("whydrop: watching "))
    })?;
    let flood = Flood {
        clients: clients(8, 1),
        to: listener.address(),
        syns: 100,
        limit: std::time::Duration::from_secs(20),
        threads: 1,
    };
    flood.ready(&wire)?.run(&AtomicBool::new(false))?;
    wait_until("its lines on the disk", ready(), || {
        let (told, _) = replayed("json", text_of(&recording)?)?;
        let told = String::from_utf8_lossy(&told).into_owned();
        // Others on the host may have a listener of this address in a namespace of theirs.
        Ok(told.matches(r#""kind":"overflow""#).count() >= 100)
    })?;
    whydrop.0.kill()?;
    whydrop.0.wait()?;
    let (_, said) = replayed("text", text_of(&recording)?)?;
    ensure!(said.contains("was not closed"), "{said}");
    Ok(())
}

#[test]
fn file_that_exists_is_refused_and_left_as_it_is() -> Result<()> {
    let file = Scratch::new("exists.whydrop");
    fs::write(&file.0, "mine")?;
    let stopped = run(&["record", "--output", text_of(&file)?, "--for", "1s"])?;
    ensure!(
        stopped.code == Some(2),
        "{:?}: {}",
        stopped.code,
        stopped.stderr
    );
    ensure!(stopped.stderr.contains("exists"), "{}", stopped.stderr);
    ensure!(fs::read(&file.0)? == b"mine", "it was written to");
    Ok(())
}

#[test]
fn command_keeps_its_status() -> Result<()> {
    let file = Scratch::new("command.whydrop");
    let stopped = run(&[
        "record",
        "--output",
        text_of(&file)?,
        "--",
        "sh",
        "-c",
        "exit 7",
    ])?;
    ensure!(
        stopped.code == Some(7),
        "{:?}: {}",
        stopped.code,
        stopped.stderr
    );
    let (told, said) = replayed("json", text_of(&file)?)?;
    ensure!(said.is_empty(), "{said}");
    ensure!(
        String::from_utf8_lossy(&told).contains(r#""type":"summary""#),
        "no summary"
    );
    Ok(())
}

/// What is no recording, or only a part of one, gets a sentence.
#[test]
fn damaged_files_get_a_sentence() -> Result<()> {
    let file = Scratch::new("damaged.whydrop");
    let stopped = run(&["record", "--output", text_of(&file)?, "--for", "1s"])?;
    ensure!(stopped.code == Some(0), "{}", stopped.stderr);
    let whole = fs::read(&file.0)?;
    fs::write(&file.0, &whole[..whole.len() - 3])?;
    let (told, said) = replayed("text", text_of(&file)?)?;
    ensure!(!told.is_empty(), "what stands before is not told");
    ensure!(said.contains("what stands before is used"), "{said}");
    fs::write(&file.0, "no recording\n")?;
    let stopped = run(&["replay", text_of(&file)?])?;
    ensure!(
        stopped.code == Some(1) && stopped.stderr.contains("is not a recording"),
        "{:?}: {}",
        stopped.code,
        stopped.stderr
    );
    Ok(())
}

/// What lines of JSON say: each with its client left out, and the clients' addresses by how often each comes.
fn without_clients(told: &[u8]) -> Result<(Vec<Value>, BTreeMap<String, usize>)> {
    let (mut lines, mut clients) = (Vec::new(), BTreeMap::new());
    for line in String::from_utf8_lossy(told).lines() {
        let mut line: Value = serde_json::from_str(line)?;
        let members = line.as_object_mut().context("no object")?;
        if let Some(Value::String(client)) = members.remove("client") {
            let client: SocketAddr = client.parse()?;
            *clients.entry(client.ip().to_string()).or_default() += 1;
        }
        members.retain(|name, _| !name.starts_with("client"));
        let top = members.get_mut("top_clients").and_then(Value::as_array_mut);
        for one in top.into_iter().flatten() {
            let addr = one["addr"].take();
            let addr = addr.as_str().context("a client without an address")?;
            *clients.entry(addr.to_owned()).or_default() += 1;
        }
        lines.push(line);
    }
    Ok((lines, clients))
}

/// A redacted recording tells the same of other clients, and its file is nobody else's to read.
#[test]
fn redacted() -> Result<()> {
    let live = Scratch::new("redacted.live");
    let recording = Scratch::new("redact.whydrop");
    let redacted = Scratch::new("redacted.whydrop");
    // Of others on the host a line may not know the client, and then both of its ends are replaced.
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    watched_at(&wire, &["--netns", &here], "json", &live, &recording)?;
    let words = ["replay", "--redact", "clients", "-o", text_of(&redacted)?];
    let words = [&words[..], &[text_of(&recording)?]].concat();
    let stopped = run(&words)?;
    ensure!(
        stopped.code == Some(0) && stopped.events.is_empty(),
        "{:?}: {}",
        stopped.code,
        stopped.stderr
    );
    let mode = fs::metadata(&redacted.0)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "mode {mode:o}");
    let (before, _) = replayed("json", text_of(&recording)?)?;
    let (after, said) = replayed("json", text_of(&redacted)?)?;
    ensure!(said.is_empty(), "{said}");
    let (lines, clients) = without_clients(&before)?;
    let (new_lines, new_clients) = without_clients(&after)?;
    ensure!(clients.len() >= 64, "{} clients", clients.len());
    ensure!(
        clients
            .keys()
            .all(|client| !new_clients.contains_key(client)),
        "{new_clients:?}"
    );
    let sorted = |clients: &BTreeMap<String, usize>| {
        let mut times: Vec<usize> = clients.values().copied().collect();
        times.sort_unstable();
        times
    };
    ensure!(
        sorted(&clients) == sorted(&new_clients),
        "{clients:?}: {new_clients:?}"
    );
    ensure!(lines.len() == new_lines.len(), "another number of lines");
    for (line, new) in lines.iter().zip(&new_lines) {
        ensure!(line == new, "{line}: {new}");
    }
    let stopped = run(&words)?;
    ensure!(
        stopped.code == Some(2) && stopped.stderr.contains("exists"),
        "{:?}: {}",
        stopped.code,
        stopped.stderr
    );
    Ok(())
}
