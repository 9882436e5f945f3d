//! `whydrop why` on causes that are really there: the verdict is the one that was made, or `undetermined`.

mod when;

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use whydrop_tests::cgroup::Cgroup;
use whydrop_tests::client::Client;
use whydrop_tests::deadline::{ready, soon, wait_until};
use whydrop_tests::family::Family;
use whydrop_tests::holder::{Birth, Holder, Work};
use whydrop_tests::listener::{Listener, Options};
use whydrop_tests::netns::Netns;
use whydrop_tests::whydrop::{binary, forced_tier};
use whydrop_tests::wire::Wire;

/// The queues of these tests.
const BACKLOG: i32 = 8;
/// How long is watched: some thirty looks.
const WATCHED: &str = "1500ms";
/// Clients that wait at once, more than any queue here holds.
const CLIENTS: usize = 24;
/// Between two bursts.
const PAUSE: Duration = Duration::from_millis(250);

/// A listener that only `work` holds, in a process of its own.
fn held(netns: &Netns, backlog: i32, work: Work) -> Result<(SocketAddr, Holder)> {
    let listener = Listener::new(netns, Ipv4Addr::LOCALHOST.into(), backlog)?;
    let birth = Birth {
        work,
        ..Birth::default()
    };
    let holder = Holder::born(&listener, birth)?;
    Ok((listener.address(), holder))
}

/// Asks while `traffic` is called again and again, until there is an answer.
fn why(
    netns: &Netns,
    target: SocketAddr,
    mut traffic: impl FnMut() -> Result<()>,
) -> Result<Value> {
    let tier = forced_tier().map(|tier| format!("--tier={tier}"));
    let mut asked = Command::new(binary()?)
        .args([
            "why",
            &target.to_string(),
            "--for",
            WATCHED,
            "--format",
            "json",
        ])
        .args(["--netns", &netns.pid().to_string()])
        .args(tier)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let played = play(&mut asked, &mut traffic);
    if played.is_err() {
        asked.kill()?;
    }
    let output = asked.wait_with_output()?;
    played?;
    ensure!(
        output.status.success(),
        "{:?}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("the answer is JSON")
}

fn play(asked: &mut Child, traffic: &mut impl FnMut() -> Result<()>) -> Result<()> {
    wait_until("an answer", ready() + soon(), || {
        if asked.try_wait()?.is_some() {
            return Ok(true);
        }
        traffic()?;
        Ok(false)
    })
}

fn verdicts(answer: &Value) -> Vec<&str> {
    let verdicts = answer["verdicts"].as_array();
    let ids = verdicts.into_iter().flatten();
    ids.filter_map(|verdict| verdict["id"].as_str()).collect()
}

fn expect(answer: &Value, expected: &[&str]) -> Result<()> {
    let found = verdicts(answer);
    ensure!(found == expected, "{found:?}, not {expected:?}: {answer:#}");
    let adds_up = answer["adds_up"].as_bool();
    ensure!(adds_up == Some(true), "it does not add up: {answer:#}");
    let empty = answer["verdicts"].as_array().into_iter().flatten();
    let empty = empty.filter(|verdict| verdict["evidence"].as_array().is_none_or(Vec::is_empty));
    ensure!(empty.count() == 0, "no evidence: {answer:#}");
    Ok(())
}

/// Clients that come all the time; the oldest give up.
struct Crowd<'netns> {
    netns: &'netns Netns,
    to: SocketAddr,
    clients: RefCell<Vec<Client>>,
}

impl<'netns> Crowd<'netns> {
    fn new(netns: &'netns Netns, to: SocketAddr) -> Self {
        Self {
            netns,
            to,
            clients: RefCell::default(),
        }
    }

    fn come(&self) -> Result<()> {
        let mut clients = self.clients.borrow_mut();
        if clients.len() == CLIENTS {
            // Of those who are not in the queue.
            clients.remove(CLIENTS - 2);
        }
        clients.push(Client::connect(self.netns, self.to)?);
        Ok(())
    }
}

/// Asks about a queue that stays full.
fn pressed(netns: &Netns, to: SocketAddr) -> Result<Value> {
    let crowd = Crowd::new(netns, to);
    why(netns, to, || crowd.come())
}

#[test]
fn acceptor_that_sleeps_elsewhere() -> Result<()> {
    let netns = Netns::new()?;
    let (to, holder) = held(&netns, BACKLOG, Work::Sleep)?;
    let answer = pressed(&netns, to)?;
    drop(holder);
    expect(&answer, &["acceptor-blocked"])?;
    let text = answer.to_string();
    ensure!(text.contains("slept in read"), "where it slept: {answer:#}");
    Ok(())
}

#[test]
fn acceptor_that_is_stopped() -> Result<()> {
    let netns = Netns::new()?;
    let (to, holder) = held(&netns, BACKLOG, Work::Serve { rest_us: 0 })?;
    let pid = Pid::from_raw(holder.pid() as i32).ok_or_else(|| anyhow!("no pid"))?;
    kill_process(pid, Signal::STOP)?;
    let answer = pressed(&netns, to);
    kill_process(pid, Signal::CONT)?;
    expect(&answer?, &["acceptor-stopped"])
}

/// A sound server that is stopped for a moment: no burst, however well it drains its queue otherwise.
#[test]
fn acceptor_that_pauses() -> Result<()> {
    const PAUSED: Duration = Duration::from_millis(400);
    let netns = Netns::new()?;
    let (to, holder) = held(&netns, BACKLOG, Work::Serve { rest_us: 0 })?;
    let pid = Pid::from_raw(holder.pid() as i32).ok_or_else(|| anyhow!("no pid"))?;
    let began = Instant::now();
    let (mut pausing, mut paused) = (None, 0);
    let mut clients = Vec::new();
    let answer = why(&netns, to, || {
        match pausing {
            // Whydrop watches by then, and again later if it did not.
            None if began.elapsed() > (paused + 1) * PAUSED * 2 => {
                kill_process(pid, Signal::STOP)?;
                pausing = Some(Instant::now());
                paused += 1;
            }
            Some(since) if Instant::now() - since > PAUSED => {
                kill_process(pid, Signal::CONT)?;
                pausing = None;
                clients.clear();
            }
            Some(_) if clients.len() < CLIENTS => clients.push(Client::connect(&netns, to)?),
            _ => {}
        }
        Ok(())
    });
    kill_process(pid, Signal::CONT)?;
    expect(&answer?, &["acceptor-stopped"])
}

#[test]
fn acceptor_in_a_frozen_cgroup() -> Result<()> {
    let netns = Netns::new()?;
    let cgroup = Cgroup::new("frozen")?;
    let ((to, _holder), _) = cgroup.run(|| held(&netns, BACKLOG, Work::Serve { rest_us: 0 }))?;
    cgroup.set("cgroup.freeze", "1")?;
    let answer = pressed(&netns, to);
    cgroup.set("cgroup.freeze", "0")?;
    let answer = answer?;
    expect(&answer, &["acceptor-stopped"])?;
    ensure!(answer.to_string().contains("was frozen"), "{answer:#}");
    Ok(())
}

/// Only where cgroup2 has the CPU controller.
#[test]
fn acceptor_without_cpu_quota() -> Result<()> {
    let netns = Netns::new()?;
    let cgroup = Cgroup::new("throttled")?;
    if !cgroup.enable("cpu")? {
        return Ok(());
    }
    cgroup.set("cpu.max", "10000 100000")?;
    let ((to, _holder), _) = cgroup.run(|| held(&netns, BACKLOG, Work::Spin))?;
    expect(&pressed(&netns, to)?, &["cpu-throttled"])
}

#[test]
fn acceptor_that_uses_a_whole_cpu() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, BACKLOG, Work::Spin)?;
    expect(&pressed(&netns, to)?, &["acceptor-saturated"])
}

#[test]
fn acceptor_that_waits_for_something_else() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, BACKLOG, Work::EpollElsewhere)?;
    expect(&pressed(&netns, to)?, &["accept-paused-by-application"])
}

#[test]
fn acceptor_without_descriptors() -> Result<()> {
    let netns = Netns::new()?;
    let (to, holder) = held(&netns, BACKLOG, Work::Serve { rest_us: 0 })?;
    let limit = libc::rlimit {
        rlim_cur: 3,
        rlim_max: 3,
    };
    // SAFETY: a child of ours, and an rlimit that outlives the call, which only reads it.
    let failed = unsafe {
        libc::prlimit(
            holder.pid() as libc::pid_t,
            libc::RLIMIT_NOFILE,
            &raw const limit,
            std::ptr::null_mut(),
        )
    };
    ensure!(failed == 0, "prlimit: {}", std::io::Error::last_os_error());
    expect(&pressed(&netns, to)?, &["fd-exhausted"])
}

#[test]
fn queue_without_room() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, 0, Work::Sleep)?;
    let answer = pressed(&netns, to)?;
    let found = verdicts(&answer);
    ensure!(found.first() == Some(&"backlog-zero"), "{answer:#}");
    Ok(())
}

/// Bursts of clients that a sound server drains.
fn bursts(netns: &Netns, to: SocketAddr) -> Result<Value> {
    let mut last: Option<Instant> = None;
    why(netns, to, || {
        if last.is_none_or(|last| last.elapsed() > PAUSE) {
            last = Some(Instant::now());
            netns.run(|| -> Result<()> {
                let clients: Result<Vec<Client>> = (0..CLIENTS)
                    .map(|_| whydrop_tests::client::connect_here(to))
                    .collect();
                clients.map(drop)
            })??;
        }
        Ok(())
    })
}

#[test]
fn burst_longer_than_the_backlog() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, BACKLOG, Work::Serve { rest_us: 300 })?;
    expect(&bursts(&netns, to)?, &["backlog-too-small"])
}

#[test]
fn burst_longer_than_somaxconn() -> Result<()> {
    let netns = Netns::new()?;
    netns.sysctl("net/core/somaxconn", "8")?;
    let (to, _holder) = held(&netns, 511, Work::Serve { rest_us: 300 })?;
    expect(&bursts(&netns, to)?, &["somaxconn-clamps-backlog"])
}

#[test]
fn sound_server() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, 128, Work::Serve { rest_us: 0 })?;
    let answer = why(&netns, to, || {
        let client = Client::connect(&netns, to)?;
        ensure!(
            client.ended_within(soon())?,
            "a client of a sound server hangs"
        );
        Ok(())
    })?;
    expect(&answer, &[])
}

#[test]
fn nobody_listens() -> Result<()> {
    let netns = Netns::new()?;
    let listener = Listener::new(&netns, Ipv4Addr::LOCALHOST.into(), BACKLOG)?;
    let to = listener.address();
    drop(listener);
    let answer = why(&netns, to, || Client::connect(&netns, to).map(drop))?;
    expect(&answer, &["no-listener"])
}

#[test]
fn listener_at_another_address() -> Result<()> {
    let netns = Netns::new()?;
    let (at, _holder) = held(&netns, BACKLOG, Work::Serve { rest_us: 0 })?;
    let to = SocketAddr::new(Ipv4Addr::new(127, 0, 0, 2).into(), at.port());
    let answer = why(&netns, to, || Client::connect(&netns, to).map(drop))?;
    expect(&answer, &["listener-elsewhere"])?;
    ensure!(answer.to_string().contains(&at.to_string()), "{answer:#}");
    Ok(())
}

#[test]
fn listener_that_is_closed_with_its_queue() -> Result<()> {
    let netns = Netns::new()?;
    let listener = Listener::new(&netns, Ipv4Addr::LOCALHOST.into(), BACKLOG)?;
    let to = listener.address();
    drop(listener);
    let answer = why(&netns, to, || {
        let options = Options {
            port: to.port(),
            listen_backlog: BACKLOG,
            ..Options::default()
        };
        let listener = Listener::with(&netns, to.ip(), options)?;
        let client = Client::connect(&netns, to)?;
        ensure!(client.ended_within(soon())?, "a client hangs");
        drop(listener);
        Ok(())
    })?;
    expect(&answer, &["listener-closed-with-queue"])
}

#[test]
fn syns_that_nobody_completes() -> Result<()> {
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), BACKLOG)?;
    let to = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), listener.port());
    let answer = why(wire.netns(), to, || {
        wire.forget_unread();
        wire.peer(Family::V4, listener.port()).syn()
    })?;
    expect(&answer, &["syn-flood"])
}

#[test]
fn syns_without_cookies() -> Result<()> {
    let wire = Wire::new()?;
    wire.netns().sysctl("net/ipv4/tcp_syncookies", "0")?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), BACKLOG)?;
    let to = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), listener.port());
    let mut last: Option<Instant> = None;
    let answer = why(wire.netns(), to, || {
        wire.forget_unread();
        // So few that it is no flood.
        if last.is_none_or(|last| last.elapsed() > PAUSE / 4) {
            last = Some(Instant::now());
            wire.peer(Family::V4, listener.port()).syn()?;
        }
        Ok(())
    })?;
    expect(&answer, &["cookies-off"])
}
