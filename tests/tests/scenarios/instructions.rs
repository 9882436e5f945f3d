//! What whydrop and other tracers cost in instructions, for `cargo xtask bench`, which reads the lines:
//!
//! - `BENCH instructions <tracer> <path> <a packet's own> <the machine's for a packet> <packets> <lines>`: the first two
//!   once for each round, with commas between;
//! - `BENCH unable <tracer> <why>`.
//!
//! A packet's own instructions are those until write(2) returns, while no process but interrupts can come between. Those
//! of the machine go on until everybody waits again, less those of a machine that does nothing as long. With no tracer
//! they are `nobody`'s.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

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
    port: u16,
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
        let refused = to(&self.full, SYN, ISN);
        let (port, full_port) = (self.roomy.port(), self.full.port());
        let path = |name, packets, undo, port| Kind {
            name,
            packets,
            undo,
            port,
        };
        [
            path(
                "elsewhere",
                vec![self.of_connection.clone(); AT_ONCE],
                Vec::new(),
                port,
            ),
            path(
                "taken",
                to(&self.roomy, SYN, ISN),
                to(&self.roomy, RST, ISN + 1),
                port,
            ),
            path("alone", vec![refused[0].clone()], Vec::new(), full_port),
            path("refused", refused, Vec::new(), full_port),
        ]
    }
}

/// One round on this path: instructions of a packet, and of the machine for it.
fn round(wire: &Wire, path: &Kind) -> Result<[f64; 2]> {
    let begin = instructions::now();
    rest(AFTERWARDS)?;
    let idle = instructions::now() - begin;
    let begin = instructions::now();
    for packet in &path.packets {
        wire.write(packet)?;
    }
    let own = instructions::now() - begin;
    rest(AFTERWARDS)?;
    let all = instructions::now() - begin;
    wire.barrier()?;
    for packet in &path.undo {
        wire.write(packet)?;
    }
    wire.barrier()?;
    wire.forget_unread();
    let each = |instructions: f64| instructions / path.packets.len() as f64;
    Ok([each(own as f64), each(all as f64 - idle as f64)])
}

fn measure(tracer: &str, command: Option<Command>) -> Result<()> {
    ensure!(
        instructions::are_counted(),
        "this machine counts no instructions: use `cargo xtask bench`"
    );
    let target = Target::new()?;
    let mut running = match command.map(|mut command| Tracer::start(&mut command)) {
        None => None,
        Some(Ok(running)) => Some(running),
        Some(Err(error)) => return say(format_args!("unable {tracer} {error:#}")),
    };
    instructions::go_first()?;
    for _ in 0..4 {
        let (i, t) = (instructions::idle()?, instructions::now());
        let n = std::time::Instant::now();
        rest(AFTERWARDS)?;
        let e = n.elapsed().as_nanos();
        let (t2, i2) = (instructions::now(), instructions::idle()?);
        say(format_args!("DEBUG tsc {} ktime {e} idle {} {}", t2-t, i2-i, std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource")?))?;
    }
    for path in target.paths() {
        let drops = target.full.drops()?;
        // The first round finds nothing in its place yet.
        round(&target.wire, &path)?;
        let rounds = (0..ROUNDS).map(|_| round(&target.wire, &path));
        let rounds = rounds.collect::<Result<Vec<_>>>()?;
        let drops = target.full.drops()? - drops;
        let packets = (ROUNDS + 1) * path.packets.len();
        let expected = if path.port == target.full.port() { packets } else { 0 };
        ensure!(drops as usize == expected, "{drops} of {expected} were refused");
        let lines = match &mut running {
            Some(running) => running.lines_with(&format!(":{}", path.port))?,
            None => 0,
        };
        let [own, all] = [0, 1].map(|which| {
            let figures = rounds.iter().map(|round| format!("{:.1}", round[which]));
            figures.collect::<Vec<_>>().join(",")
        });
        say(format_args!(
            "instructions {tracer} {} {own} {all} {packets} {lines}",
            path.name
        ))?;
    }
    if let Some(running) = running {
        running.stop()?;
    }
    Ok(())
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
