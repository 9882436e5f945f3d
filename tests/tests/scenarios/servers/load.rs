//! Load as people make it, with wrk and ab, on nginx.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use whydrop_tests::deadline::{soon, wait_until};
use whydrop_tests::netns::Netns;
use whydrop_tests::process;
use whydrop_tests::server::{command, file_of};

use super::nginx::{nginx, worker};
use super::{TO, expect, signal, why};

/// More than a queue of 8 holds, fewer than one of 511.
const CONNECTIONS: &str = "64";

/// One that loads the server until it is told to end.
struct Load(Child);

impl Load {
    fn start(netns: &Netns, command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Ok(Self(netns.spawn(command)?))
    }

    /// A connection for each request.
    fn wrk(netns: &Netns) -> Result<Self> {
        let mut wrk = command(file_of("wrk", "usr/bin/wrk")?);
        wrk.args(["-t", "1", "-c", CONNECTIONS, "-d", "60s"]).args([
            "-H",
            "Connection: close",
            &url(),
        ]);
        Self::start(netns, &mut wrk)
    }

    /// The same, with arguments that say for how long.
    fn ab(netns: &Netns, arguments: &[&str]) -> Result<Self> {
        let mut ab = command(file_of("apache2-utils", "usr/bin/ab")?);
        ab.args(["-q", "-r", "-c", CONNECTIONS])
            .args(arguments)
            .arg(url());
        Self::start(netns, &mut ab)
    }

    /// Waits until it has ended by itself.
    fn ended(mut self) -> Result<()> {
        wait_until("the end of the load", soon(), || {
            Ok(self.0.try_wait()?.is_some())
        })
    }

    /// Interrupts it, which must have worked until now.
    fn end_of_work(mut self) -> Result<()> {
        let is_at_work = self.0.try_wait()?.is_none();
        ensure!(is_at_work, "it ended by itself");
        process::signal(self.0.id(), Signal::INT)?;
        let mut out = self.0.stdout.take().context("no output")?;
        self.ended()?;
        let mut said = String::new();
        out.read_to_string(&mut said)?;
        let is_said = said.contains("Requests/sec") || said.contains("Requests per second");
        ensure!(is_said, "it did nothing: {said}");
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn url() -> String {
    format!("http://{TO}/")
}

#[test]
#[ignore = "needs nginx, wrk; `cargo xtask lab` runs it"]
fn sound_under_wrk() -> Result<()> {
    sound_under("wrk", Load::wrk)
}

#[test]
#[ignore = "needs nginx, apache2-utils; `cargo xtask lab` runs it"]
fn sound_under_ab() -> Result<()> {
    let for_long = ["-t", "60", "-n", "10000000"];
    sound_under("ab", |netns| Load::ab(netns, &for_long))
}

fn sound_under(name: &str, load: impl FnOnce(&Netns) -> Result<Load>) -> Result<()> {
    let netns = Netns::new()?;
    let _nginx = nginx(&netns, &format!("nginx-{name}"), 1, "")?;
    let load = load(&netns)?;
    let answer = why(&netns, || Ok(()))?;
    load.end_of_work()?;
    expect(&answer, &[])
}

#[test]
#[ignore = "needs nginx, wrk; `cargo xtask lab` runs it"]
fn stopped_under_wrk() -> Result<()> {
    let netns = Netns::new()?;
    let nginx = nginx(&netns, "nginx-wrk-stopped", 1, "backlog=8")?;
    signal(worker(&nginx)?, Signal::STOP)?;
    let _load = Load::wrk(&netns)?;
    expect(&why(&netns, || Ok(()))?, &["acceptor-stopped"])
}

/// It comes with all its connections at once, waits for those that were refused, and comes again.
#[test]
#[ignore = "needs nginx, apache2-utils; `cargo xtask lab` runs it"]
fn short_backlog_under_ab() -> Result<()> {
    let netns = Netns::new()?;
    // Cookies that come back to a full queue would be a verdict of their own.
    netns.sysctl("net/ipv4/tcp_syncookies", "0")?;
    let _nginx = nginx(&netns, "nginx-ab-short", 1, "backlog=8")?;
    let answer = why(&netns, || Load::ab(&netns, &["-n", CONNECTIONS])?.ended())?;
    expect(&answer, &["backlog-too-small"])
}
