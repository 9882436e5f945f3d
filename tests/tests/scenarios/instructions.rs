//! What whydrop and other tracers cost in instructions, for `cargo xtask bench`, which reads the lines:
//!
//! - `BENCH packet <tracer> <path> <instructions>`: of a packet until write(2) returns, while nothing but interrupts can come
//!   between; once for each round, with commas between;
//! - `BENCH machine <tracer> <path> <instructions> <packets> <lines>`: of the whole machine for a packet until nobody has
//!   anything to do any more, less those of a machine to which no packet came for as long; and how many of all packets the
//!   tracer had a line for;
//! - `BENCH unable <tracer> <why>`.
//!
//! What they are with no tracer is `nobody`'s.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use whydrop_tests::family::Family;
use whydrop_tests::flood::clients;
use whydrop_tests::instructions;
use whydrop_tests::listener::Listener;
use whydrop_tests::segment::{ACK, RST, SYN, Segment};
use whydrop_tests::tracer::{Tracer, rest};
use whydrop_tests::whydrop::binary;
use whydrop_tests::wire::Wire;

const ROUNDS: usize = 7;
/// Fewer than the wire holds answers, and than a tracer's ring holds records.
const AT_ONCE: usize = 256;
/// Until a tracer has told everything.
const AFTERWARDS: Duration = Duration::from_millis(400);
/// Of the whole machine's rounds, since a tracer has work of its own now and then.
const WINDOW: Duration = Duration::from_secs(10);
const WINDOWS: usize = 3;
const ISN: u32 = 1 << 16;
/// Where `cargo xtask bench` puts what others have made.
const PEERS: &str = "/peers";

struct Target {
    wire: Wire,
    roomy: Listener,
    full: Listener,
    of_connection: Vec<u8>,
    _accepted: std::net::TcpStream,
}

/// What is sent in one round, and what makes the next one begin as this did.
struct Kind {
    name: &'static str,
    packets: Vec<Vec<u8>>,
    undo: Vec<Vec<u8>>,
}

impl Target {
    fn new() -> Result<Self> {
        let wire = Wire::new()?;
        let room = 4096.to_string();
        wire.netns().sysctl("net/core/somaxconn", &room)?;
        wire.netns().sysctl("net/ipv4/tcp_max_syn_backlog", &room)?;
        let roomy = Listener::new(wire.netns(), Family::V4.bind(), 4096)?;
        let mut peer = wire.peer(Family::V4, roomy.port());
        peer.handshake()?;
        let accepted = roomy.accept()?.context("nobody to accept")?;
        let (seq, ack) = (peer.isn.wrapping_add(1), peer.server_isn.wrapping_add(1));
        let of_connection = Segment::new(peer.client, peer.server, ACK, seq, ack).encode();
        let full = wire.full_listener()?;
        Ok(Self {
            roomy,
            full,
            of_connection,
            _accepted: accepted,
            wire,
        })
    }

    fn paths(&self) -> [Kind; 4] {
        let clients = clients(64, (AT_ONCE / 64) as u16);
        let to = |listener: &Listener, flags, seq| -> Vec<Vec<u8>> {
            let packet = |client| Segment::new(client, listener.address(), flags, seq, 0).encode();
            clients.iter().copied().map(packet).collect()
        };
        let path = |name, packets, undo| Kind {
            name,
            packets,
            undo,
        };
        let refused = to(&self.full, SYN, ISN);
        [
            path(
                "elsewhere",
                vec![self.of_connection.clone(); AT_ONCE],
                Vec::new(),
            ),
            path(
                "taken",
                to(&self.roomy, SYN, ISN),
                to(&self.roomy, RST, ISN + 1),
            ),
            path("alone", vec![refused[0].clone()], Vec::new()),
            path("refused", refused, Vec::new()),
        ]
    }
}

/// Instructions of the machine while this time goes by.
fn busy(time: Duration, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let (idle, begin) = (instructions::idle()?, instructions::now());
    let began = Instant::now();
    work()?;
    rest(time.saturating_sub(began.elapsed()))?;
    let time = instructions::now() - begin;
    Ok(time as f64 - (instructions::idle()? - idle) as f64)
}

struct Measured<'a> {
    name: &'a str,
    target: Target,
    tracer: Option<Tracer>,
}

impl Measured<'_> {
    fn write(&self, packets: &[Vec<u8>]) -> Result<()> {
        let mut packets = packets.iter();
        packets.try_for_each(|packet| self.target.wire.write(packet))
    }

    /// What one packet pays for itself.
    fn packet(&mut self, path: &Kind) -> Result<()> {
        let mut rounds = Vec::new();
        // The first one finds nothing in its place yet.
        for nth in 0..=ROUNDS {
            let begin = instructions::now();
            self.write(&path.packets)?;
            let each = (instructions::now() - begin) as f64 / path.packets.len() as f64;
            rounds.extend((nth > 0).then_some(each));
            self.target.wire.barrier()?;
            self.write(&path.undo)?;
            self.target.wire.barrier()?;
            self.target.wire.forget_unread();
            rest(AFTERWARDS)?;
        }
        let (name, path) = (self.name, path.name);
        say(format_args!("packet {name} {path} {}", list(&rounds)))
    }

    /// What the machine does for a refused one, of so many at once and again after a while.
    fn machine(&mut self, path: &Kind, times: usize) -> Result<()> {
        let packets = times * path.packets.len();
        let (mut rounds, mut lines) = (Vec::new(), 0);
        self.lines()?;
        for _ in 0..WINDOWS {
            let nothing = busy(WINDOW, || Ok(()))?;
            let drops = self.target.full.drops()?;
            let all = busy(WINDOW, || {
                (0..times).try_for_each(|_| {
                    self.write(&path.packets)?;
                    rest(WINDOW * 9 / 10 / times as u32)
                })
            })?;
            let drops = self.target.full.drops()? - drops;
            ensure!(
                drops as usize == packets,
                "{drops} of {packets} were refused"
            );
            lines += self.lines()?;
            rounds.push((all - nothing) / packets as f64);
        }
        let (name, path, rounds) = (self.name, path.name, list(&rounds));
        let packets = WINDOWS * packets;
        say(format_args!(
            "machine {name} {path} {rounds} {packets} {lines}"
        ))
    }

    /// Of the listener that refuses, since the last time.
    fn lines(&mut self) -> Result<usize> {
        let words = format!(":{}", self.target.full.port());
        let tracer = self.tracer.as_mut();
        tracer.map_or(Ok(0), |tracer| tracer.lines_with(&words))
    }
}

fn list(figures: &[f64]) -> String {
    let figures = figures.iter().map(|figure| format!("{figure:.1}"));
    figures.collect::<Vec<_>>().join(",")
}

fn measure(name: &str, command: Option<Command>) -> Result<()> {
    ensure!(
        instructions::are_counted(),
        "this machine counts no instructions: use `cargo xtask bench`"
    );
    let target = Target::new()?;
    let tracer = match command
        .map(|mut command| Tracer::start(&mut command))
        .transpose()
    {
        Ok(tracer) => tracer,
        Err(error) => return say(format_args!("unable {name} {error:#}")),
    };
    let mut measured = Measured {
        name,
        target,
        tracer,
    };
    instructions::go_first()?;
    let [elsewhere, taken, alone, refused] = measured.target.paths();
    for path in [&elsewhere, &taken, &alone, &refused] {
        measured.packet(path)?;
    }
    measured.machine(&refused, 16)?;
    measured.machine(&alone, 400)?;
    measured.tracer.map_or(Ok(()), Tracer::stop)
}

/// Past libtest's capture, and in one piece.
fn say(line: impl Display) -> Result<()> {
    let line = format!("BENCH {line}\n");
    Ok(std::io::stderr().write_all(line.as_bytes())?)
}

fn whydrop(tier: &str) -> Result<()> {
    let mut command = Command::new(binary()?);
    command.args(["watch", "--detail=all", "--tier", tier]);
    measure(tier, Some(command))
}

/// A program out of a package, with that package's own linker and libraries.
fn peer(tracer: &str, program: &str, script: Option<&str>) -> Result<()> {
    let inside = |path: &str| Path::new(PEERS).join(path);
    let libraries = inside("usr/lib/x86_64-linux-gnu");
    if !inside(program).exists() {
        return say(format_args!("unable {tracer} it is not here"));
    }
    let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
    command
        .arg("--library-path")
        .arg(&libraries)
        .arg(inside(program))
        .args(script.map(inside));
    measure(tracer, Some(command))
}

fn bpftrace(tracer: &str, script: &str) -> Result<()> {
    peer(tracer, "usr/bin/bpftrace", Some(script))
}

#[test]
#[ignore = "prints figures"]
fn a_nobody() -> Result<()> {
    measure("nobody", None)
}

#[test]
#[ignore = "prints figures"]
fn whydrop_trampoline() -> Result<()> {
    whydrop("trampoline")
}

#[test]
#[ignore = "prints figures"]
fn whydrop_kprobe() -> Result<()> {
    whydrop("kprobe")
}

#[test]
#[ignore = "prints figures"]
fn whydrop_cgroup() -> Result<()> {
    whydrop("cgroup")
}

#[test]
#[ignore = "prints figures"]
fn bpftrace_kprobe() -> Result<()> {
    bpftrace("bpftrace-kprobe", "drops-kprobe.bt")
}

#[test]
#[ignore = "prints figures"]
fn bpftrace_fentry() -> Result<()> {
    bpftrace("bpftrace-fentry", "drops-fentry.bt")
}

#[test]
#[ignore = "prints figures"]
fn bpftrace_tcpsynbl() -> Result<()> {
    bpftrace("tcpsynbl.bt", "usr/sbin/tcpsynbl.bt")
}

#[test]
#[ignore = "prints figures"]
fn bpftrace_tcpdrop() -> Result<()> {
    bpftrace("tcpdrop.bt", "usr/sbin/tcpdrop.bt")
}

#[test]
#[ignore = "prints figures"]
fn bpftrace_tcpretrans() -> Result<()> {
    bpftrace("tcpretrans.bt", "usr/sbin/tcpretrans.bt")
}

#[test]
#[ignore = "prints figures"]
fn libbpf_tcpsynbl() -> Result<()> {
    peer("tcpsynbl", "usr/sbin/tcpsynbl-libbpf", None)
}
