//! Builds the files that leave the build directory: the static whydrop and what goes into a VM with it.
//!
//! Static means `+crt-static` with glibc: one file without a dynamic linker, so that an initramfs needs no libraries.
//! An explicit `--target` keeps that flag away from build scripts and procedural macros, which cannot be static.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::proc;

const TARGET: &str = "x86_64-unknown-linux-gnu";

pub(crate) fn target_dir() -> Result<PathBuf> {
    Ok(match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(proc::root().join(dir))?,
        None => proc::root().join("target"),
    })
}

pub(crate) fn static_whydrop() -> Result<PathBuf> {
    proc::run(static_cargo(&[
        "build", "--quiet", "-p", "whydrop", "--bin", "whydrop",
    ]))?;
    built("whydrop")
}

/// The first process of a VM.
pub(crate) fn vm_init() -> Result<PathBuf> {
    proc::run(static_cargo(&[
        "build",
        "--quiet",
        "-p",
        "whydrop-tests",
        "--bin",
        "vm-init",
    ]))?;
    built("vm-init")
}

/// The scenario tests as one static executable.
pub(crate) fn scenarios() -> Result<PathBuf> {
    let what = [
        "test",
        "--no-run",
        "-p",
        "whydrop-tests",
        "--test",
        "scenarios",
    ];
    hashed(&what, "scenarios")
}

/// The bench that asks what whydrop asks of a host (probe-user/benches/host.rs), static as well.
pub(crate) fn host_bench() -> Result<PathBuf> {
    hashed(&["build", "-p", "whydrop", "--bench", "host"], "host")
}

/// The bench of what an event costs in user space (probe-user/benches/event.rs).
pub(crate) fn event_bench() -> Result<PathBuf> {
    let what = [
        "build",
        "-p",
        "whydrop",
        "--features",
        "benchmark",
        "--bench",
        "event",
    ];
    hashed(&what, "event")
}

/// Cargo adds a hash to the names of some executables, so cargo is asked for it.
fn hashed(what: &[&str], name: &str) -> Result<PathBuf> {
    let mut command = static_cargo(what);
    command
        .args(["--quiet", "--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit());
    let output = command.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("building `{name}` failed ({})", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    executable(&messages, name)
        .with_context(|| format!("cargo built `{name}` but named no executable"))
}

/// The same executable, run here by cargo: sharing the flags shares the build.
pub(crate) fn run_scenarios(filter: &[String]) -> Command {
    let mut command = static_cargo(&["test", "-p", "whydrop-tests", "--test", "scenarios"]);
    command.args(["--", "--test-threads=1"]).args(filter);
    command
}

fn static_cargo(args: &[&str]) -> Command {
    let mut command = proc::cargo(args);
    command
        .args(["--release", "--target", TARGET])
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    command
}

fn built(name: &str) -> Result<PathBuf> {
    Ok(target_dir()?.join(TARGET).join("release").join(name))
}

/// Finds `"executable":"PATH"` of a target. One field of cargo's stable output does not justify a JSON parser.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let name = format!(r#""name":"{name}""#);
    let line = messages.lines().find(|line| {
        line.contains(r#""reason":"compiler-artifact""#)
            && line.contains(&name)
            && line.contains(r#""executable":""#)
    })?;
    let (_, rest) = line.split_once(r#""executable":""#)?;
    let (path, _) = rest.split_once('"')?;
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"whydrop_tests"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["test"],"name":"scenarios"},"executable":"/t/scenarios-1f"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(
            executable(messages, "scenarios"),
            Some(PathBuf::from("/t/scenarios-1f"))
        );
        assert_eq!(executable("", "scenarios"), None);
    }
}
