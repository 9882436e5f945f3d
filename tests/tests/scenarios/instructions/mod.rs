//! What whydrop and other tracers cost in instructions, for `cargo xtask bench`, which reads the lines:
//!
//! - `BENCH packet <tracer> <path> <instructions> <packets> <lines>`: of a packet until write(2) returns, while nothing but
//!   interrupts can come between, once for each round, with commas between; and for how many of all packets the tracer had a
//!   line;
//! - `BENCH machine <tracer> <path> <instructions> <packets> <lines>`: of the whole machine for a packet until nobody has
//!   anything to do any more, less those of a machine to which no packet came for as long; on the path `idle` of a second without packets;
//! - `BENCH unable <tracer> <why>`.
//!
//! What they are with no tracer is `nobody`'s, and what the least takes that says as much as whydrop is `least`'s.

mod least;
mod measure;
mod paths;

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use whydrop_tests::whydrop::binary;

use measure::{measure, measure_least, unable};

/// Where `cargo xtask bench` puts what others have made.
const PEERS: &str = "/peers";
/// What tcpsynbl.bt says of a refusal, without telling of whom.
const DROPPING: &str = "dropping";

fn whydrop(tier: &str) -> Result<()> {
    measure(tier, Some("overflow"), Some(watch(tier)?))
}

fn watch(tier: &str) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.args(["watch", "--detail=all", "--tier", tier]);
    Ok(command)
}

/// A program out of a package, with that package's own linker and libraries.
fn peer(tracer: &str, program: &str, script: Option<&str>, words: Option<&str>) -> Result<()> {
    let inside = |path: &str| Path::new(PEERS).join(path);
    let libraries = inside("usr/lib/x86_64-linux-gnu");
    if !inside(program).exists() {
        return unable(tracer, "it is not here");
    }
    let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
    command
        .arg("--library-path")
        .arg(&libraries)
        .arg(inside(program))
        .args(script.map(inside));
    measure(tracer, words, Some(command))
}

fn bpftrace(tracer: &str, script: &str, words: Option<&str>) -> Result<()> {
    peer(tracer, "usr/bin/bpftrace", Some(script), words)
}

#[test]
#[ignore = "prints figures"]
fn a_nobody() -> Result<()> {
    measure("nobody", None, None)
}

#[test]
#[ignore = "prints figures"]
fn b_least() -> Result<()> {
    measure_least()
}

#[test]
#[ignore = "prints figures"]
fn whydrop_trampoline() -> Result<()> {
    whydrop("trampoline")
}

/// Of a listener that is not there: what others refuse is counted, and has no record.
#[test]
#[ignore = "prints figures"]
fn whydrop_unasked() -> Result<()> {
    let mut command = watch("trampoline")?;
    command.args(["--listener", "127.0.0.1:1"]);
    measure("unasked", Some("overflow"), Some(command))
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
    bpftrace("bpftrace-kprobe", "drops-kprobe.bt", None)
}

#[test]
#[ignore = "prints figures"]
fn bpftrace_fentry() -> Result<()> {
    bpftrace("bpftrace-fentry", "drops-fentry.bt", None)
}

#[test]
#[ignore = "prints figures"]
fn bpftrace_tcpsynbl() -> Result<()> {
    bpftrace("tcpsynbl.bt", "usr/sbin/tcpsynbl.bt", Some(DROPPING))
}

#[test]
#[ignore = "prints figures"]
fn bpftrace_tcpdrop() -> Result<()> {
    bpftrace("tcpdrop.bt", "usr/sbin/tcpdrop.bt", None)
}

#[test]
#[ignore = "prints figures"]
fn bpftrace_tcpretrans() -> Result<()> {
    bpftrace("tcpretrans.bt", "usr/sbin/tcpretrans.bt", None)
}

#[test]
#[ignore = "prints figures"]
fn libbpf_tcpsynbl() -> Result<()> {
    peer("tcpsynbl", "usr/sbin/tcpsynbl-libbpf", None, None)
}
