//! What whydrop costs, for `cargo xtask bench`, which reads the lines. Their form is fixed:
//!
//! - `BENCH hook <path> <program> <runs per packet> <ns per run> <ns per run of an empty program of its kind>`
//! - `BENCH line <format> <refusals per second> <ns of the process each> <ns of the programs each>`
//! - `BENCH start <ms until ready> <KiB in memory then> <KiB at most>`
//! - `BENCH idle <ns of the process per second>`

use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use whydrop_tests::deadline;
use whydrop_tests::family::Family;
use whydrop_tests::flood::clients;
use whydrop_tests::listener::Listener;
use whydrop_tests::ping;
use whydrop_tests::process;
use whydrop_tests::programs::{self, Cost, Costs};
use whydrop_tests::requests;
use whydrop_tests::segment::{ACK, SYN, Segment};
use whydrop_tests::whydrop::{Watch, Whydrop, binary, forced_tier};
use whydrop_tests::wire::Wire;

/// In one round.
const PACKETS: usize = 4096;
const ROUNDS: usize = 9;
/// Fewer than the wire holds answers.
const AT_ONCE: usize = 256;
/// All of a round fit into it: what is measured are hooks, not who reads.
const RING: &str = "16777216";
/// More than are sent, so that each finds room.
const MOST_REQUESTS: i32 = 4 * PACKETS as i32;

/// Programs that do nothing, which end when this does.
struct Empty {
    child: Child,
    _until: ChildStdin,
}

impl Empty {
    fn attach() -> Result<Self> {
        let mut child = Command::new(binary()?)
            .arg("attach-empty")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let until = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut kinds = String::new();
        BufReader::new(stdout).read_line(&mut kinds)?;
        ensure!(!kinds.is_empty(), "no empty program was let in");
        Ok(Self {
            child,
            _until: until,
        })
    }
}

impl Drop for Empty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The empty program of the same kind.
fn empty_of(program: &str) -> &'static str {
    let kind = program.split('_').next().unwrap_or_default();
    match kind {
        "typed" => "empty_typed",
        "raw" => "empty_raw",
        "fentry" => "empty_fentry",
        "fexit" => "empty_fexit",
        "kprobe" => "empty_kprobe",
        "kretprobe" => "empty_kretprobe",
        _ => "empty_cgroup_sk",
    }
}

/// Sends these again and again, and says what each program cost. After each round `settle` makes everything as it was before
/// it; the first one does not count: what it finds for the first time is known later.
fn measure(
    path: &str,
    wire: &Wire,
    packets: &[Vec<u8>],
    events_each: usize,
    settle: impl Fn() -> Result<()>,
) -> Result<()> {
    let _counting = programs::count()?;
    let empty = Empty::attach()?;
    let watch = Watch::new().args(["--detail=all", "--ring-bytes", RING]);
    let whydrop = watch.keeping(&[]).start()?;
    let costs = || -> Result<Costs> {
        let mut costs = programs::costs_of(whydrop.pid())?;
        costs.extend(programs::costs_of(empty.child.id())?);
        Ok(costs)
    };
    let mut rounds: Vec<Costs> = Vec::new();
    let mut packets = packets.iter().cycle();
    for _ in 0..=ROUNDS {
        let before = costs()?;
        for _ in 0..PACKETS / AT_ONCE {
            for packet in packets.by_ref().take(AT_ONCE) {
                wire.write(packet)?;
            }
            wire.barrier()?;
            wire.forget_unread();
        }
        let moved = costs()?.into_iter().map(|(name, after)| {
            let before = before.get(&name).copied().unwrap_or_default();
            (name, after.since(before))
        });
        rounds.push(moved.collect());
        whydrop.wait_events(events_each * rounds.len() * PACKETS, "events", |_| true)?;
        settle()?;
    }
    rounds.remove(0);
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    ensure!(
        stopped.summary()?["lost"] == 0,
        "it lost something: {}",
        stopped.summary()?["lost"]
    );
    for name in rounds[0].keys().filter(|name| !name.starts_with("empty_")) {
        let runs = median(&rounds, name, |cost| cost.runs as f64 / PACKETS as f64);
        // A barrier's own packets come by as well.
        if runs < 0.5 {
            continue;
        }
        let ns = |name| median(&rounds, name, |cost| cost.ns as f64 / cost.runs as f64);
        let (own, nothing) = (ns(name), ns(empty_of(name)));
        say(format_args!(
            "hook {path} {name} {runs:.2} {own:.0} {nothing:.0}"
        ))?;
    }
    Ok(())
}

/// Past libtest's capture, and in one piece.
fn say(line: impl Display) -> Result<()> {
    let line = format!("BENCH {line}\n");
    Ok(std::io::stderr().write_all(line.as_bytes())?)
}

fn median(rounds: &[Costs], name: &str, of: impl Fn(Cost) -> f64) -> f64 {
    let costs = rounds.iter().filter_map(|round| round.get(name).copied());
    middle(costs.map(of).collect())
}

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

fn nothing() -> Result<()> {
    Ok(())
}

fn syns(to: &Listener) -> Vec<Vec<u8>> {
    syns_of(clients(64, 160), to)
}

fn syns_of(clients: Vec<SocketAddr>, to: &Listener) -> Vec<Vec<u8>> {
    let syn = |client| Segment::new(client, to.address(), SYN, 1 << 16, 0).encode();
    clients.into_iter().map(syn).collect()
}

#[test]
#[ignore = "prints figures"]
fn packets_of_a_connection() -> Result<()> {
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), 1)?;
    let mut peer = wire.peer(Family::V4, listener.port());
    peer.handshake()?;
    let _accepted = listener.accept()?.context("nobody to accept")?;
    let (seq, ack) = (peer.isn.wrapping_add(1), peer.server_isn.wrapping_add(1));
    let again = Segment::new(peer.client, peer.server, ACK, seq, ack).encode();
    measure("elsewhere", &wire, &[again], 0, nothing)
}

/// Whatever else comes in and is freed: the packet itself, and the answer when it was read.
#[test]
#[ignore = "prints figures"]
fn packets_of_others() -> Result<()> {
    let wire = Wire::new()?;
    measure("freed", &wire, &[ping::request(0)], 0, nothing)
}

/// Each becomes a request that waits for the client: no counter of a listener moves.
#[test]
#[ignore = "prints figures"]
fn syns_that_are_taken() -> Result<()> {
    let wire = Wire::new()?;
    let room = MOST_REQUESTS.to_string();
    wire.netns().sysctl("net/core/somaxconn", &room)?;
    wire.netns().sysctl("net/ipv4/tcp_max_syn_backlog", &room)?;
    // A request that nobody completes ends where its SYN-ACK would be sent again.
    wire.netns().sysctl("net/ipv4/tcp_synack_retries", "0")?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), MOST_REQUESTS)?;
    let syns = syns_of(clients(64, (PACKETS / 64) as u16), &listener);
    measure("taken", &wire, &syns, 0, || {
        deadline::wait_until("the end of all requests", deadline::soon(), || {
            Ok(requests::half_open(wire.netns(), listener.port())? == 0)
        })
    })
}

#[test]
#[ignore = "prints figures"]
fn syns_that_are_refused() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    measure("refused", &wire, &syns(&listener), 1, nothing)
}

const STARTS: usize = 5;
const IDLE: Duration = Duration::from_secs(10);

#[test]
#[ignore = "prints figures"]
fn start_and_rest() -> Result<()> {
    let (mut ms, mut now, mut peak) = (Vec::new(), Vec::new(), Vec::new());
    for nth in 1..=STARTS {
        let began = Instant::now();
        let whydrop = Whydrop::start()?;
        ms.push(began.elapsed().as_secs_f64() * 1e3);
        let memory = process::memory_kib(whydrop.pid())?;
        now.push(memory.0 as f64);
        peak.push(memory.1 as f64);
        if nth == STARTS {
            let before = process::cpu(whydrop.pid())?;
            rest(IDLE)?;
            let took = process::cpu(whydrop.pid())? - before;
            say(format_args!(
                "idle {:.0}",
                took.as_nanos() as f64 / IDLE.as_secs_f64()
            ))?;
        }
        whydrop.stop()?;
    }
    let [ms, now, peak] = [ms, now, peak].map(middle);
    say(format_args!("start {ms:.0} {now:.0} {peak:.0}"))
}

fn rest(time: Duration) -> Result<()> {
    let time = Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    };
    poll(&mut [], Some(&time))?;
    Ok(())
}

const RATE: u32 = 10_000;
const SECONDS: u32 = 5;
const SYNS_AT_ONCE: usize = 10;

/// Refusals at a steady rate, each of them a line that somebody reads.
fn lines(format: &str) -> Result<()> {
    let _counting = programs::count()?;
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    let syns = syns(&listener);
    let tier = forced_tier().map(|tier| format!("--tier={tier}"));
    let mut child = Command::new(binary()?)
        .args(["watch", "--detail=all", "--format", format])
        .args(tier)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no stdout")?);
    lines.read_line(&mut String::new())?;
    let reader = thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    let cost = |pid: u32| -> Result<(Duration, u64)> {
        let programs = programs::costs_of(pid)?;
        Ok((
            process::cpu(pid)?,
            programs.values().map(|cost| cost.ns).sum(),
        ))
    };
    let before = cost(child.id())?;
    let (began, every) = (
        Instant::now(),
        Duration::from_secs(1) / RATE * SYNS_AT_ONCE as u32,
    );
    let mut packets = syns.iter().cycle();
    for round in 1..=RATE * SECONDS / SYNS_AT_ONCE as u32 {
        for packet in packets.by_ref().take(SYNS_AT_ONCE) {
            wire.write(packet)?;
        }
        rest((every * round).saturating_sub(began.elapsed()))?;
    }
    wire.barrier()?;
    let took = began.elapsed();
    let after = cost(child.id())?;
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT)?;
    child.wait()?;
    let read = reader
        .join()
        .map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    let events = f64::from(RATE * SECONDS);
    ensure!(
        read as f64 > events * 80.0,
        "{read} bytes are not a line of each"
    );
    say(format_args!(
        "line {format} {:.0} {:.0} {:.0}",
        events / took.as_secs_f64(),
        (after.0 - before.0).as_nanos() as f64 / events,
        (after.1 - before.1) as f64 / events,
    ))
}

#[test]
#[ignore = "prints figures"]
fn lines_for_people_and_machines() -> Result<()> {
    lines("text")?;
    lines("json")
}
