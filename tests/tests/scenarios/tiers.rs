//! Each tier by force. A kernel that lacks a feature refuses its tier with one
//! sentence and exit code 3; any other refusal is a failure.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use whydrop_tests::family::Family;
use whydrop_tests::paths;
use whydrop_tests::truth::{Truth, row};
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

use crate::traced::trace_with;

const REFUSED: i32 = 3;

#[test]
fn trampoline() -> Result<()> {
    forced(
        "trampoline",
        kernel_has_kprobes()?,
        &["fentry", "trampoline"],
    )
}

#[test]
fn kprobe() -> Result<()> {
    forced("kprobe", kernel_has_kprobes()?, &["kprobe"])
}

#[test]
fn cgroup() -> Result<()> {
    forced("cgroup", true, &[])
}

/// Without any hook it still reads the kernel's counters.
#[test]
fn counters() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Watch::new().args(["--tier", "counters"]).start()?;
    let truth = Truth::begin(wire.netns())?;
    let expected = paths::syn_overflow(&wire, Family::V4)?;
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    let row =
        row(&stopped, wire.netns(), "ListenOverflows")?.context("no row for ListenOverflows")?;
    ensure!(
        row.kernel == expected.counter("ListenOverflows"),
        "it read {row:?}"
    );
    ensure!(
        row.kernel == truth.moved(wire.netns())?.get("ListenOverflows"),
        "the kernel differs from {row:?}"
    );
    Ok(())
}

fn forced(tier: &str, kernel_has_it: bool, features: &[&str]) -> Result<()> {
    let watch = || Watch::new().args(["--tier", tier]);
    if kernel_has_it {
        let stopped = trace_with(watch(), paths::ack_overflow, Family::V4)?;
        let other = stopped
            .events
            .iter()
            .find(|event| event.is("overflow") && event.tier() != tier);
        ensure!(other.is_none(), "asked for {tier}: {other:?}");
        return Ok(());
    }
    let refused = Whydrop::spawn(watch().command()?)?.finish()?;
    ensure!(
        refused.code == Some(REFUSED),
        "exit code {:?}, stderr: {}",
        refused.code,
        refused.stderr
    );
    let named = features
        .iter()
        .any(|feature| refused.stderr.contains(feature));
    ensure!(
        named,
        "the missing feature is not named: {}",
        refused.stderr
    );
    Ok(())
}

/// The 6.18 that CI runs on has neither kprobes nor, for programs, trampolines;
/// every distribution kernel of the VM matrix has both.
fn kernel_has_kprobes() -> Result<bool> {
    let sources = Path::new("/sys/bus/event_source/devices");
    ensure!(
        sources.is_dir(),
        "{} is missing: mount sysfs",
        sources.display()
    );
    Ok(sources.join("kprobe").exists())
}
