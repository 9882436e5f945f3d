//! Listeners and namespaces that nobody asked for: counted like all others, and never in the ring.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Result, ensure};
use whydrop_tests::client::Client;
use whydrop_tests::deadline::{soon, wait_until};
use whydrop_tests::heard::Stopped;
use whydrop_tests::listener::Listener;
use whydrop_tests::netns::Netns;
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::Watch;

/// Connections that each of two listeners refuses.
const REFUSED: u64 = 5;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A listener whose queue is full.
struct Full<'netns> {
    netns: &'netns Netns,
    listener: Listener,
    clients: Vec<Client>,
}

impl<'netns> Full<'netns> {
    fn new(netns: &'netns Netns, address: IpAddr) -> Result<Self> {
        let mut full = Self {
            netns,
            listener: Listener::new(netns, address, 1)?,
            clients: Vec::new(),
        };
        for _ in 0..2 {
            let to = SocketAddr::new(LOCALHOST, full.listener.port());
            let client = Client::connect(netns, to)?;
            wait_until("a connection", soon(), || Ok(client.outcome()?.is_ok()))?;
            full.clients.push(client);
        }
        Ok(full)
    }

    fn refuse(&mut self) -> Result<()> {
        let to = SocketAddr::new(LOCALHOST, self.listener.port());
        for _ in 0..REFUSED {
            self.clients.push(Client::connect(self.netns, to)?);
        }
        Ok(())
    }
}

fn refused_at_least(netns: &Netns, n: u64) -> Result<()> {
    wait_until("refusals", soon(), || {
        Ok(netns.counters()?.get("ListenOverflows") >= n)
    })
}

/// Of two full listeners in one namespace the one at `wanted` is asked for.
fn trace(wanted: IpAddr, filter: impl FnOnce(u16) -> String) -> Result<()> {
    let netns = Netns::new()?;
    let mut wanted = Full::new(&netns, wanted)?;
    let mut other = Full::new(&netns, LOCALHOST)?;
    let port = wanted.listener.port();
    let whydrop = Watch::new()
        .args(["--listener".to_owned(), filter(port)])
        .start()?;
    let truth = Truth::begin(&netns)?;
    wanted.refuse()?;
    other.refuse()?;
    refused_at_least(&netns, 2 * REFUSED)?;
    // They would try again while whydrop ends.
    wanted.clients.clear();
    other.clients.clear();
    let stopped = whydrop.stop()?;
    truth.check_rows(&netns, &stopped, false)?;
    let mut shown = 0;
    for event in stopped.events_in(netns.inum()) {
        let addr = event.local();
        ensure!(
            addr.is_some_and(|addr| addr.port() == port)
                || event.remote().is_some_and(|addr| addr.port() == port),
            "nobody asked for {event}"
        );
        shown += u64::from(event.is("overflow"));
    }
    ensure!(shown >= REFUSED, "{shown} of {REFUSED} are shown");
    ensure_kept_away(&stopped)
}

/// The kernel's side has left out what nobody asked for.
fn ensure_kept_away(stopped: &Stopped) -> Result<()> {
    let filtered = stopped.summary()?["filtered"].as_u64();
    ensure!(
        filtered >= Some(REFUSED),
        "{filtered:?} were kept from the ring"
    );
    Ok(())
}

#[test]
fn other_ports() -> Result<()> {
    trace(LOCALHOST, |port| format!(":{port}"))
}

#[test]
fn other_addresses() -> Result<()> {
    trace(LOCALHOST, |port| format!("127.0.0.1:{port}"))
}

/// A listener on every address gets what is sent to the one that is asked for.
#[test]
fn every_address_has_the_one_asked_for() -> Result<()> {
    trace(Ipv6Addr::UNSPECIFIED.into(), |port| {
        format!("127.0.0.1:{port}")
    })
}

#[test]
fn same_port_at_another_address() -> Result<()> {
    let netns = Netns::new()?;
    let mut other = Full::new(&netns, LOCALHOST)?;
    let filter = format!("127.0.0.2:{}", other.listener.port());
    let whydrop = Watch::new().args(["--listener", &filter]).start()?;
    let truth = Truth::begin(&netns)?;
    other.refuse()?;
    refused_at_least(&netns, REFUSED)?;
    // They would try again while whydrop ends.
    other.clients.clear();
    let stopped = whydrop.stop()?;
    truth.check_rows(&netns, &stopped, false)?;
    ensure_kept_away(&stopped)?;
    let shown = stopped
        .events_in(netns.inum())
        .filter(|event| event.is("overflow"));
    ensure!(shown.count() == 0, "nobody asked for 127.0.0.1");
    Ok(())
}

#[test]
fn other_namespaces() -> Result<()> {
    let (here, elsewhere) = (Netns::new()?, Netns::new()?);
    let mut wanted = Full::new(&here, LOCALHOST)?;
    let mut other = Full::new(&elsewhere, LOCALHOST)?;
    let whydrop = Watch::new()
        .args(["--netns".to_owned(), here.pid().to_string()])
        .start()?;
    let truth = Truth::begin(&here)?;
    wanted.refuse()?;
    other.refuse()?;
    refused_at_least(&here, REFUSED)?;
    refused_at_least(&elsewhere, REFUSED)?;
    // They would try again while whydrop ends.
    wanted.clients.clear();
    other.clients.clear();
    let stopped = whydrop.stop()?;
    truth.check_rows(&here, &stopped, false)?;
    ensure!(
        stopped.events_in(elsewhere.inum()).count() == 0,
        "nobody asked"
    );
    ensure_kept_away(&stopped)
}
