//! `whydrop run`: the command notices nothing of it, its status comes out, and the report is what the kernel counted.

mod before;
mod nobody;
mod others;
mod pause;

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use whydrop_tests::bpf;
use whydrop_tests::command::{Over, Running, line_of_type, lines, read, whydrop};
use whydrop_tests::family::Family;
use whydrop_tests::listener::Listener;
use whydrop_tests::netns::Netns;
use whydrop_tests::paths;
use whydrop_tests::skip::is_hidden;
use whydrop_tests::truth::{RECONCILED, Truth};
use whydrop_tests::whydrop::{Whydrop, binary};
use whydrop_tests::wire::Wire;

use crate::lifecycle::Scratch;
use crate::privilege::{NO_PRIVILEGE, NOBODY, readable_by_all};

/// Says that it runs, and goes on until its input ends.
const WAITS: [&str; 3] = ["sh", "-c", "echo started; exec cat"];

/// One that has said that it runs.
fn start(options: &[&str], words: &[&str]) -> Result<Running> {
    let mut running = Running::start(whydrop("run", &[options, &["--"], words].concat())?)?;
    let line = running.line()?;
    ensure!(line == "started", "it says {line}");
    Ok(running)
}

/// One that waits as [`WAITS`] does, where there is no shell: this program once more.
fn start_waiting(options: &[&str]) -> Result<Running> {
    let program = std::env::current_exe()?;
    let program = program.to_str().context("no UTF-8")?;
    let words = ["--", program, "--ignored", "--exact", "--nocapture", WAITER];
    let mut running = Running::start(whydrop("run", &[options, &words].concat())?)?;
    // libtest speaks first.
    let mut line = String::new();
    while line != "started" {
        line = running.line()?;
    }
    Ok(running)
}

const WAITER: &str = "run::waits_for_the_end_of_its_input";

/// Proves nothing by itself.
#[test]
#[ignore = "it is the command of others"]
fn waits_for_the_end_of_its_input() -> Result<()> {
    println!("\nstarted");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// To the end of one whose input is empty.
fn run(options: &[&str], words: &[&str]) -> Result<Over> {
    Running::start(whydrop("run", &[options, &["--"], words].concat())?)?.finish()
}

/// Where no drop before a listener can be seen, it speaks of listeners alone.
fn says_that_nothing_was_dropped(report: &str) -> bool {
    let says = ["nothing was dropped in ", "no listener refused anybody in "];
    says.iter()
        .any(|text| report.starts_with(&format!("whydrop: {text}")))
}

/// A report in JSON: the summary, and what `run` makes of it.
struct Report(Vec<Value>);

impl Report {
    fn of(path: &Path) -> Result<Self> {
        Ok(Self(lines(&read(path))?))
    }

    fn summary(&self) -> Result<&Value> {
        line_of_type(&self.0, "summary")
    }

    fn run(&self) -> Result<&Value> {
        line_of_type(&self.0, "run")
    }

    fn ensure_verdict(&self, expected: &str) -> Result<()> {
        let run = self.run()?;
        ensure!(run["verdict"] == expected, "not {expected}: {run}");
        Ok(())
    }
}

#[test]
fn status_is_that_of_the_command() -> Result<()> {
    let netns = Netns::new()?;
    let here = netns.pid().to_string();
    let status = |words: &[&str], expected| {
        let over = run(&["--netns", &here, "--fail-on-drop"], words)?;
        over.ensure_status(expected)
    };
    status(&["true"], 0)?;
    status(&["false"], 1)?;
    status(&["sh", "-c", "exit 7"], 7)?;
    status(&["sh", "-c", "kill -KILL $$"], 128 + 9)
}

#[test]
fn nothing_dropped_is_one_line() -> Result<()> {
    let netns = Netns::new()?;
    let here = netns.pid().to_string();
    let over = run(&["--netns", &here], &["true"])?;
    over.ensure_status(0)?;
    ensure!(
        says_that_nothing_was_dropped(&over.stderr) && over.stderr.lines().count() == 1,
        "it says: {}",
        over.stderr
    );
    Ok(())
}

#[test]
fn overflow_during_the_command() -> Result<()> {
    let file = Scratch::new("run-overflow.json");
    let path = file.0.to_str().context("no UTF-8")?;
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let options = ["--netns", &here, "--format", "json", "--report", path];
    let running = start_waiting(&options)?;
    let truth = Truth::begin(wire.netns())?;
    let expected = paths::syn_overflow(&wire, Family::V4)?;
    let over = running.finish()?;
    over.ensure_status(0)?;
    ensure!(over.stderr.is_empty(), "it says: {}", over.stderr);

    let report = Report::of(&file.0)?;
    report.ensure_verdict("dropped")?;
    let run = report.run()?;
    let refused = truth.moved(wire.netns())?.get("ListenDrops");
    ensure!(refused == 4, "the kernel refused {refused}");
    ensure!(
        run["refusals"] == refused,
        "the kernel refused {refused}: {run}"
    );
    ensure!(run["exit_code"] == 0 && run["status"] == 0, "{run}");
    ensure!(run["doubts"].as_array().is_some_and(Vec::is_empty), "{run}");
    let listener = expected.listener.as_ref().context("no listener")?;
    let [row] = run["listeners"].as_array().map_or(&[][..], Vec::as_slice) else {
        anyhow::bail!("not one listener: {run}");
    };
    ensure!(
        row["cookie"] == format!("{:#x}", listener.cookie()),
        "{row}"
    );
    ensure!(row["events"]["overflow"] == refused, "{row}");
    ensure!(
        row["causes"]["overflow/accept-queue-full"] == refused,
        "{row}"
    );
    let moments = &row["moments"];
    ensure!(
        moments["exact"] == true && moments["clients_exact"] == true,
        "{row}"
    );
    ensure!(moments["clients"] == clients(&expected), "{row}");
    ensure!(
        moments["accept_queue_len"] == 3 && moments["accept_queue_limit"] == 2,
        "{row}"
    );
    ensure!(
        moments["first_mono_ns"].as_u64() < moments["last_mono_ns"].as_u64(),
        "{row}"
    );
    ensure_incidents(run, refused)?;
    let answers = run["answers"].as_array().context("no answers")?;
    ensure!(
        answers.len() == 1 && answers[0]["addr"] == row["addr"],
        "{run}"
    );
    ensure_rows(report.summary()?, &truth, wire.netns())
}

/// All that was refused is in incidents, and nothing else.
fn ensure_incidents(run: &Value, refused: u64) -> Result<()> {
    let incidents = run["incidents"].as_array().context("no incidents")?;
    let drops = incidents.iter().filter_map(|one| one["drops"].as_u64());
    ensure!(
        drops.sum::<u64>() == refused && run["incidents_let_go"] == 0,
        "the kernel refused {refused}: {run}"
    );
    Ok(())
}

fn clients(expected: &paths::Expected) -> usize {
    let clients = expected.events.iter().filter_map(|event| event.client);
    clients
        .map(|client| client.ip())
        .collect::<BTreeSet<_>>()
        .len()
}

/// Each counter as the test itself has read it, and all of it seen.
fn ensure_rows(summary: &Value, truth: &Truth, netns: &Netns) -> Result<()> {
    let moved = truth.moved(netns)?;
    let rows = summary["reconciliation"].as_array().context("no rows")?;
    for counter in RECONCILED {
        let row = rows
            .iter()
            .find(|row| row["counter"] == counter && row["netns"] == netns.inum())
            .with_context(|| format!("no row for {counter}"))?;
        ensure!(row["kernel"] == moved.get(counter), "{row}, not {moved:?}");
        ensure!(row["unattributed"] == 0, "{row}");
    }
    Ok(())
}

#[test]
fn overflow_fails_when_asked() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let options = ["--netns", &here, "--fail-on-drop"];
    let ended = |words: &[&str], expected| {
        let running = start(&options, words)?;
        let _listener = paths::syn_overflow(&wire, Family::V4)?;
        let over = running.finish()?;
        over.ensure_status(expected)?;
        over.ensure_says("4 refusals in ")?;
        over.ensure_says("every one was seen")?;
        Ok(())
    };
    ended(&WAITS, 1)?;
    // What the command says has precedence.
    ended(&["sh", "-c", "echo started; cat; exit 5"], 5)
}

/// The hooks of the cgroup tier do not know whose half-open request an ICMP error takes away.
#[test]
fn what_cannot_be_told_fails_when_asked() -> Result<()> {
    let whydrop = Whydrop::start()?;
    let is_blind = is_hidden(&whydrop.readiness()?, "blind", "icmp-error")?;
    whydrop.stop()?.ended_well()?;
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let sound = Listener::new(wire.netns(), Ipv4Addr::LOCALHOST.into(), 8)?;
    let ours = format!(":{}", sound.port());
    let options = ["--netns", &here, "--fail-on-drop", "--listener", &ours];
    let running = start(&options, &WAITS)?;
    let _listener = paths::unreachable_client(&wire, Family::V4)?;
    let over = running.finish()?;
    over.ensure_status(i32::from(is_blind))?;
    let expected = if is_blind {
        "cannot tell whether anything was dropped"
    } else {
        "nothing was dropped"
    };
    over.ensure_says(expected)?;
    Ok(())
}

#[test]
fn counters_tier_counts_too() -> Result<()> {
    let file = Scratch::new("run-counters.json");
    let path = file.0.to_str().context("no UTF-8")?;
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let options = [
        "--tier",
        "counters",
        "--netns",
        &here,
        "--fail-on-drop",
        "--format",
        "json",
        "--report",
        path,
    ];
    let running = start(&options, &WAITS)?;
    let _listener = paths::syn_overflow(&wire, Family::V4)?;
    running.finish()?.ensure_status(1)?;
    let report = Report::of(&file.0)?;
    report.ensure_verdict("dropped")?;
    let run = report.run()?;
    ensure!(run["refusals"] == 4, "{run}");
    // None when sk_drops grew between a look at the counters and the look at listeners that follows it.
    let candidates = run["candidates"].as_array();
    ensure!(candidates.is_some_and(|all| all.len() <= 1), "{run}");
    // Without hooks nobody knows when whose client was refused.
    for unknown in ["incidents", "answers"] {
        ensure!(run.get(unknown).is_none(), "{run}");
    }
    ensure!(run["stories"].is_null(), "{run}");
    Ok(())
}

/// Byte for byte, in and out, and on standard error too when the report is elsewhere.
#[test]
fn streams_are_the_command_s_own() -> Result<()> {
    let file = Scratch::new("run-streams.txt");
    let path = file.0.to_str().context("no UTF-8")?;
    let netns = Netns::new()?;
    let here = netns.pid().to_string();
    let words = ["run", "--netns", &here, "--report", path, "--", "sh", "-c"];
    let mut command = whydrop(words[0], &words[1..])?;
    command.arg("printf 'a\\000b\\377\\n' >&2; exec cat");
    let mut running = Running::start(command)?;
    let bytes: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    running.write(&bytes)?;
    let mut stderr = [0; 5];
    // Read as bytes, since they are no text.
    running.read_error(&mut stderr)?;
    ensure!(&stderr == b"a\0b\xff\n", "stderr was {stderr:?}");
    let over = running.finish()?;
    over.ensure_status(0)?;
    ensure!(over.stdout == bytes, "{} bytes came out", over.stdout.len());
    ensure!(over.stderr.is_empty(), "it says: {}", over.stderr);
    let report = String::from_utf8(read(&file.0))?;
    ensure!(
        says_that_nothing_was_dropped(&report),
        "the report: {report}"
    );
    Ok(())
}

/// Open files, signals, limits and the namespace.
#[test]
fn command_sees_what_it_would_see_without() -> Result<()> {
    const LOOK: &str = "ls /proc/self/fd; readlink /proc/self/ns/net; ulimit -a; \
                        grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status; pwd; env | sort";
    let netns = Netns::new()?;
    let here = netns.pid().to_string();
    let mut alone = Command::new("sh");
    alone.args(["-c", LOOK]);
    let alone = Running::start(alone)?.finish()?;
    let watched = run(&["--netns", &here], &["sh", "-c", LOOK])?;
    watched.ensure_status(0)?;
    let [alone, watched] = [&alone, &watched].map(|it| without_own_signals(&it.stdout));
    ensure!(
        watched == alone,
        "without whydrop:\n{alone}\nwith it:\n{watched}"
    );
    Ok(())
}

/// The C library takes two signals for itself and lets nobody else touch them: whoever starts a thread
/// no longer ignores them, and what runs the tests may have (seen: signal 33).
fn without_own_signals(stdout: &[u8]) -> String {
    const OWN: u64 = 1 << (32 - 1) | 1 << (33 - 1);
    let line = |line: &str| match line.split_once('\t') {
        Some((name, mask)) if name.starts_with("Sig") => {
            let mask = u64::from_str_radix(mask, 16).unwrap_or(u64::MAX);
            format!("{name}\t{:016x}\n", mask & !OWN)
        }
        _ => format!("{line}\n"),
    };
    String::from_utf8_lossy(stdout).lines().map(line).collect()
}

#[test]
fn sigterm_and_sighup_reach_the_command() -> Result<()> {
    let netns = Netns::new()?;
    let here = netns.pid().to_string();
    for signal in [Signal::TERM, Signal::HUP] {
        let words = [&["--netns", &here, "--"], &WAITS[..]].concat();
        let mut command = whydrop("run", &words)?;
        // SAFETY: signal(2) is async-signal-safe, and nothing else is done between fork and exec.
        unsafe {
            // What runs the tests may ignore it, as nohup does.
            command.pre_exec(|| {
                libc::signal(libc::SIGHUP, libc::SIG_DFL);
                Ok(())
            });
        }
        let mut running = Running::start(command)?;
        running.line()?;
        running.signal(signal)?;
        // Its input stays open: only the signal ends it.
        running.wait()?;
        let over = running.finish()?;
        over.ensure_status(128 + signal.as_raw())?;
        let said = format!("was ended by signal {}", signal.as_raw());
        ensure!(over.stderr.contains(&said), "it says: {}", over.stderr);
    }
    Ok(())
}

/// A terminal sends SIGINT to both, and a command that goes on is waited for.
#[test]
fn sigint_is_the_command_s_matter() -> Result<()> {
    let netns = Netns::new()?;
    let here = netns.pid().to_string();
    let mut running = start(&["--netns", &here], &WAITS)?;
    running.signal(Signal::INT)?;
    running.write(b"still there\n")?;
    let line = running.line()?;
    ensure!(line == "still there", "the command says {line}");
    let over = running.finish()?;
    over.ensure_status(0)?;
    ensure!(
        says_that_nothing_was_dropped(&over.stderr),
        "it says: {}",
        over.stderr
    );
    Ok(())
}

#[test]
fn command_that_cannot_be_started() -> Result<()> {
    let netns = Netns::new()?;
    let here = netns.pid().to_string();
    let no_program = Scratch::new("no-program");
    fs::write(&no_program.0, "nothing to run\n")?;
    let no_program = no_program.0.to_str().context("no UTF-8")?;
    for (word, status) in [
        ("a-command-that-nobody-has", 127),
        (no_program, 126),
        ("/", 126),
    ] {
        let over = run(&["--netns", &here], &[word])?;
        over.ensure_status(status)?;
        ensure!(
            over.stderr.contains(&format!("cannot start `{word}`")),
            "it says: {}",
            over.stderr
        );
    }
    Ok(())
}

#[test]
fn arguments_that_make_no_sense() -> Result<()> {
    let marker = Scratch::new("run-marker");
    let path = marker.0.to_str().context("no UTF-8")?;
    for options in [
        &["--report", "/no/such/folder/report"][..],
        &["--listener", "nowhere:80"],
        &["--netns", "no-such-namespace"],
        &["--no-such-option"],
    ] {
        run(options, &["touch", path])?.ensure_status(2)?;
        ensure!(
            !marker.0.exists(),
            "the command was started with {options:?}"
        );
    }
    Running::start(whydrop("run", &[])?)?
        .finish()?
        .ensure_status(2)
}

#[test]
fn without_privilege_nothing_is_started() -> Result<()> {
    let marker = Scratch::new("run-nobody");
    let path = marker.0.to_str().context("no UTF-8")?;
    let mut command = Command::new(readable_by_all(binary()?)?);
    command
        .args(["run", "--", "touch", path])
        .uid(NOBODY)
        .gid(NOBODY);
    let over = Running::start(command)?.finish()?;
    over.ensure_status(NO_PRIVILEGE)?;
    over.ensure_says("CAP_")?;
    ensure!(!marker.0.exists(), "the command was started");
    Ok(())
}

#[test]
fn nothing_stays_attached() -> Result<()> {
    let netns = Netns::new()?;
    let here = netns.pid().to_string();
    let running = start_waiting(&["--netns", &here])?;
    let programs = bpf::programs_of(running.pid())?;
    ensure!(!programs.is_empty(), "whydrop runs without a BPF program");
    running.finish()?.ensure_status(0)?;
    bpf::wait_gone(&programs)
}
