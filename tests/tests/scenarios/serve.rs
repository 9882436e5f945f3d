//! `whydrop serve`: what is scraped equals what the kernel counted, the service manager is told, and signals do what they
//! are for.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use whydrop_tests::client::Client;
use whydrop_tests::deadline::{scaled, soon, wait_until};
use whydrop_tests::listener::Listener;
use whydrop_tests::netns::Netns;
use whydrop_tests::whydrop::{Whydrop, binary, forced_tier, run};

use crate::output::Folder;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// More than the queue holds.
const CLIENTS: usize = 8;

struct Served {
    whydrop: Whydrop,
    manager: UnixDatagram,
    socket: PathBuf,
}

impl Served {
    /// It has told the service manager that it is ready.
    fn start(folder: &Folder, name: &str, more: &[&str]) -> Result<Self> {
        let socket = folder.path("metrics.sock");
        let name = format!("whydrop-serve-{name}-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        manager.set_read_timeout(Some(soon()))?;
        let mut command = Command::new(binary()?);
        command.args(["serve", "--format", "json", "--metrics"]);
        command.arg(format!("unix:{}", socket.display()));
        if let Some(tier) = forced_tier() {
            command.args(["--tier", &tier]);
        }
        command.args(more);
        command.env("NOTIFY_SOCKET", format!("@{name}"));
        command.env("WATCHDOG_USEC", "3000000");
        // SAFETY: signal(2) is async-signal-safe, and nothing else is done between fork and exec.
        unsafe {
            // Whoever starts tests may ignore it.
            command.pre_exec(|| {
                libc::signal(libc::SIGHUP, libc::SIG_DFL);
                Ok(())
            });
        }
        let served = Self {
            whydrop: Whydrop::spawn(command)?,
            manager,
            socket,
        };
        served.hears("READY=1\nSTATUS=ready, tier ")?;
        Ok(served)
    }

    /// The manager is told this, now or later.
    fn hears(&self, words: &str) -> Result<()> {
        let mut some = [0; 512];
        let end = Instant::now() + soon();
        while Instant::now() < end {
            let n = self.manager.recv(&mut some).context(words.to_owned())?;
            if some[..n].starts_with(words.as_bytes()) {
                return Ok(());
            }
        }
        bail!("the manager was not told {words}")
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(soon()))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no header")?;
        ensure!(head.starts_with("HTTP/1.1 200 OK"), "{answer}");
        Ok(body.to_owned())
    }

    /// The sum of the samples with this name whose labels have all of these.
    fn sum(&self, name: &str, labels: &[String]) -> Result<Option<i64>> {
        let mut sum = None;
        for line in self.get("/metrics")?.lines() {
            let of_name = line.strip_prefix(name);
            if !of_name.is_some_and(|rest| rest.starts_with(['{', ' '])) {
                continue;
            }
            if labels.iter().all(|label| line.contains(label.as_str())) {
                let (_, value) = line.rsplit_once(' ').context("no value")?;
                *sum.get_or_insert(0) += value.parse::<i64>()?;
            }
        }
        Ok(sum)
    }
}

fn label(name: &str, value: impl ToString) -> String {
    format!("{name}=\"{}\"", value.to_string())
}

/// So many come to a queue of two.
fn press(netns: &Netns, listener: &Listener) -> Result<Vec<Client>> {
    let clients = (0..CLIENTS).map(|_| Client::connect(netns, listener.address()));
    let clients: Result<Vec<Client>> = clients.collect();
    wait_until("an overflow", soon(), || {
        Ok(netns.counters()?.get("ListenOverflows") >= (CLIENTS - 2) as u64)
    })?;
    clients
}

#[test]
fn what_is_scraped_is_what_the_kernel_counted() -> Result<()> {
    let folder = Folder::new("serve-sums")?;
    let netns = Netns::new()?;
    let served = Served::start(&folder, "sums", &[])?;
    ensure!(served.get("/healthz")? == "ok\n");
    ensure!(served.get("/readyz")?.starts_with("ready"));
    let listener = Listener::new(&netns, HERE, 1)?;
    let clients = press(&netns, &listener)?;
    drop(clients);
    let here = label("netns", netns.inum());
    let overflow = [here.clone(), label("kind", "overflow")];
    let in_netns = [here.clone()];
    wait_until("a scrape that is as far as the kernel", soon(), || {
        let counters = netns.counters()?;
        let refused = served.sum("whydrop_refused_total", &overflow)?;
        Ok(refused == Some(counters.get("ListenOverflows") as i64))
    })?;
    let kernel = |counter: &str| {
        let labels = [here.clone(), label("counter", counter)];
        let counted = served.sum("whydrop_kernel_total", &labels)?;
        let unattributed = served.sum("whydrop_unattributed", &labels)?;
        Ok::<_, anyhow::Error>((counted, unattributed))
    };
    let counters = netns.counters()?;
    let overflows = Some(counters.get("ListenOverflows") as i64);
    let drops = Some(counters.get("ListenDrops") as i64);
    ensure!(kernel("ListenOverflows")? == (overflows, Some(0)));
    ensure!(kernel("ListenDrops")? == (drops, Some(0)));
    ensure!(served.sum("whydrop_refused_total", &in_netns)? == drops);
    let listener_at = [here.clone(), label("listener", listener.address())];
    ensure!(served.sum("whydrop_listener_refused_total", &listener_at)? == drops);
    ensure!(served.sum("whydrop_listener_established_total", &listener_at)? == Some(2));
    // Nobody knows any more what the kernel counts there, and what was counted stays.
    drop((listener, netns));
    wait_until("the namespace to be gone", scaled(soon()), || {
        Ok(served.sum("whydrop_kernel_total", &in_netns)?.is_none())
    })?;
    ensure!(served.sum("whydrop_refused_total", &in_netns)? == drops);
    served.whydrop.stop()?.ended_well()
}

#[test]
fn the_manager_is_told_and_signals_do_what_they_are_for() -> Result<()> {
    let folder = Folder::new("serve-signals")?;
    let recordings = folder.path("recordings");
    let texts = folder.path("texts");
    for path in [&recordings, &texts] {
        std::fs::create_dir(path)?;
    }
    let name = |path: &Path| path.display().to_string();
    let more = ["--record", &name(&recordings), "--textfile", &name(&texts)];
    let served = Served::start(&folder, "signals", &more)?;
    served.hears("WATCHDOG=1")?;
    let text = texts.join("whydrop.prom");
    wait_until("a text file", soon(), || Ok(text.exists()))?;
    let whole = std::fs::read_to_string(&text)?;
    ensure!(whole.contains("\nwhydrop_unread 0\n"), "{whole}");
    let parts = || std::fs::read_dir(&recordings)?.collect::<std::io::Result<Vec<_>>>();
    let first = parts()?.pop().context("nothing is recorded")?;
    std::fs::rename(first.path(), folder.path("moved.whydrop"))?;
    served.whydrop.signal(Signal::HUP)?;
    wait_until("a new part", soon(), || Ok(parts()?.len() == 1))?;
    ensure!(served.get("/healthz")? == "ok\n");
    let began = Instant::now();
    served.whydrop.signal(Signal::TERM)?;
    served.hears("STOPPING=1")?;
    let stopped = served.whydrop.finish()?;
    ensure!(began.elapsed() < scaled(Duration::from_secs(5)));
    stopped.ended_well()?;
    ensure!(!text.exists(), "old numbers look like new ones");
    ensure!(!served.socket.exists(), "a socket is left");
    let replayed = run(&["replay", "--format", "json", &name(&recordings)])?;
    ensure!(
        !replayed.stderr.contains("not closed"),
        "{}",
        replayed.stderr
    );
    replayed.ended_well()
}
