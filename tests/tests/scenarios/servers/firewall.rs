//! iptables, as it is (nf_tables with the modules of old) and as it was (`ip_tables`), before a server that is sound.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use whydrop_tests::client::Client;
use whydrop_tests::every::Every;
use whydrop_tests::netns::Netns;
use whydrop_tests::server::{Directory, command, file_of};
use whydrop_tests::skip::{is_before, skip};

use super::nginx::nginx;
use super::{PAUSE, TO, expect, why};

/// How it says that the kernel was built without.
const MISSING: [&str; 3] = [
    "missing kernel module",
    "Table does not exist",
    "not supported",
];

/// Appends a rule; false where this kernel has no such firewall.
fn append(netns: &Netns, program: &str, target: &[&str]) -> Result<bool> {
    let directory = Directory::new(program)?;
    let program = file_of("iptables", &format!("usr/sbin/{program}"))?;
    let extensions = file_of("iptables", "usr/lib/x86_64-linux-gnu/xtables")?;
    let port = TO.port().to_string();
    let mut iptables = command(&program);
    iptables
        .args(["-A", "INPUT", "-p", "tcp", "--dport", &port, "-j"])
        .args(target)
        .env("XTABLES_LIBDIR", extensions)
        .env("XTABLES_LOCKFILE", directory.path().join("lock"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let output = netns.spawn(&mut iptables)?.wait_with_output()?;
    let says = String::from_utf8_lossy(&output.stderr);
    let is_missing = MISSING.iter().any(|text| says.contains(text));
    ensure!(
        output.status.success() || is_missing,
        "{}: {says}",
        program.display()
    );
    Ok(output.status.success())
}

fn behind(program: &str, target: &[&str]) -> Result<()> {
    if is_before(6, 1)? {
        return skip("this kernel gives no reasons for drops");
    }
    let netns = Netns::new()?;
    let _nginx = nginx(&netns, &format!("nginx-{program}-{}", target[0]), 1, "")?;
    if !append(&netns, program, target)? {
        return skip("this kernel has no such firewall");
    }
    let answer = clients_now_and_then(&netns).context(program.to_owned())?;
    expect(&answer, &["rejected-by-firewall"])
}

fn clients_now_and_then(netns: &Netns) -> Result<Value> {
    let mut every = Every::new(PAUSE);
    why(netns, || {
        if every.is_due() {
            Client::connect(netns, TO)?;
        }
        Ok(())
    })
}

#[test]
#[ignore = "needs iptables, nginx; `cargo xtask lab` runs it"]
fn iptables_that_drops() -> Result<()> {
    behind("iptables-nft", &["DROP"])
}

#[test]
#[ignore = "needs iptables, nginx; `cargo xtask lab` runs it"]
fn iptables_that_rejects() -> Result<()> {
    behind("iptables-nft", &["REJECT", "--reject-with", "tcp-reset"])
}

#[test]
#[ignore = "needs iptables, nginx; `cargo xtask lab` runs it"]
fn iptables_of_old_that_drops() -> Result<()> {
    behind("iptables-legacy", &["DROP"])
}

#[test]
#[ignore = "needs iptables, nginx; `cargo xtask lab` runs it"]
fn iptables_of_old_that_rejects() -> Result<()> {
    behind("iptables-legacy", &["REJECT"])
}
