//! What a watch has given up once it is ready, and that it reads all the same afterwards.

use std::fs;

use anyhow::{Context, Result, ensure};
use whydrop_tests::{
    deadline::{ready, wait_until},
    event::Event,
    family::Family,
    paths,
    truth::Truth,
    whydrop::{Watch, Whydrop},
    wire::Wire,
};

/// CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_SYSLOG, and CAP_SYS_NICE where there are kprobes.
const KEPT: u64 = 1 << 2 | 1 << 12 | 1 << 19 | 1 << 21 | 1 << 34 | 1 << 23;

/// CAP_SYS_NICE.
const NICE: u64 = 1 << 23;

/// A namespace that is made afterwards is entered, its counters are read, its listener has its owner, and maps are read.
#[test]
fn every_thread_is_confined_and_all_is_read() -> Result<()> {
    let whydrop = Watch::new().args(["--sandbox", "strict"]).start()?;
    let readiness = whydrop.readiness()?;
    ensure!(readiness["sandbox"] == "on", "{readiness}");
    let before = each_thread_is_confined(&whydrop)?;
    let wire = Wire::new()?;
    let truth = Truth::begin(wire.netns())?;
    let expected = paths::syn_overflow(&wire, Family::V4)?;
    let netns = wire.netns().inum();
    let pid = u64::from(std::process::id());
    let is_known = |event: &Event| {
        event.netns() == Some(netns)
            && event.owner_pids().contains(&pid)
            && event.snapshot_cookie().is_some()
    };
    // Between two searches of /proc a new namespace is not known, nor is an owner.
    wait_until("an overflow with its owner", ready(), || {
        wire.peer(Family::V4, expected.listener_port()).syn()?;
        Ok(!whydrop.events(is_known)?.is_empty())
    })?;
    let after = each_thread_is_confined(&whydrop)?;
    ensure!(before > 0 && after > 0, "no threads");
    drop(expected);
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    truth.check(wire.netns(), &stopped)
}

/// How many there are.
fn each_thread_is_confined(whydrop: &Whydrop) -> Result<usize> {
    let mut threads = 0;
    for entry in fs::read_dir(format!("/proc/{}/task", whydrop.pid()))? {
        // Threads that look come and go.
        let Ok(status) = fs::read_to_string(entry?.path().join("status")) else {
            continue;
        };
        let field = |name: &str| -> Result<u64> {
            let mut lines = status.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let value = value.with_context(|| format!("no {name}: {status}"))?;
            Ok(u64::from_str_radix(value.trim(), 16)?)
        };
        ensure!(
            field("NoNewPrivs")? == 1 && field("Seccomp")? == 2,
            "{status}"
        );
        ensure!(field("CapInh")? == 0 && field("CapAmb")? == 0, "{status}");
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            ensure!(field(set)? & !KEPT == 0, "{set}: {status}");
        }
        ensure!(
            field("CapEff")? | NICE == KEPT,
            "more is gone than is said: {status}"
        );
        threads += 1;
    }
    Ok(threads)
}

/// A command is started with what whydrop was started with: it is not held, and that is said.
#[test]
fn what_starts_a_command_is_not_confined_and_says_so() -> Result<()> {
    let whydrop = Watch::new().args(["--on-incident", "true"]).start()?;
    let readiness = whydrop.readiness()?;
    ensure!(readiness["sandbox"] == "off", "{readiness}");
    let why = readiness["sandbox_lacks"].as_str().unwrap_or_default();
    ensure!(why.contains("a command is started"), "{readiness}");
    whydrop.stop()?.ended_well()?;
    let arguments = ["--on-incident", "true", "--sandbox", "strict"];
    let refused = Whydrop::spawn(Watch::new().args(arguments).command()?)?.finish()?;
    ensure!(
        refused.code == Some(3),
        "{:?}: {}",
        refused.code,
        refused.stderr
    );
    ensure!(
        refused.stderr.contains("--sandbox strict"),
        "{}",
        refused.stderr
    );
    Ok(())
}
