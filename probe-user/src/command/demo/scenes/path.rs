//! Something is wrong before the listener, or behind it; the server is sound.

use std::{io, net::Ipv4Addr, time::Duration};

use crate::command::demo::{
    clients::connect,
    connections, firewall, kernel,
    server::{Server, Work},
    socket::{listen, mute, place},
    stage::Stage,
    strangers::Strangers,
};

const BACKLOG: i32 = 128;

/// Between two clients.
const PACE: Duration = Duration::from_millis(50);

fn sound() -> io::Result<Server> {
    Server::start(&listen(BACKLOG)?, &Work::default())
}

/// Strangers come to a sound server, and each does this.
fn come(stage: &Stage, each: impl Fn(&Strangers) -> io::Result<()>) -> io::Result<()> {
    let _server = sound()?;
    let strangers = Strangers::new()?;
    stage.begin();
    while stage.goes_on(PACE) {
        each(&strangers)?;
    }
    Ok(())
}

pub(super) fn firewalled(stage: &Stage) -> io::Result<()> {
    kernel::tells_of_netfilter()?;
    let _server = sound()?;
    firewall::drops()?;
    stage.begin();
    while stage.goes_on(PACE) {
        // It goes before it would try again.
        connect(place())?;
    }
    Ok(())
}

pub(crate) fn filtered(stage: &Stage) -> io::Result<()> {
    // From the same kernel on.
    kernel::tells_of_netfilter()?;
    let _listener = mute(place().port())?;
    stage.begin();
    while stage.goes_on(PACE) {
        connect(place())?;
    }
    Ok(())
}

pub(crate) fn untracked(stage: &Stage) -> io::Result<()> {
    kernel::tells_of_netfilter()?;
    firewall::tracks()?;
    connections::fill()?;
    come(stage, Strangers::syn)
}

/// Whoever listens where that comes out takes nothing.
pub(crate) fn redirected(stage: &Stage) -> io::Result<()> {
    let other = place().port() ^ 1;
    let _listener = mute(other)?;
    firewall::redirects(other)?;
    stage.begin();
    while stage.goes_on(PACE) {
        connect(place())?;
    }
    Ok(())
}

/// Four clients have the four source ports that there are; whoever comes later fails before it sends anything.
pub(crate) fn without_source_ports(stage: &Stage) -> io::Result<()> {
    const PORTS: usize = 4;
    let listener = listen(BACKLOG)?;
    stage.sysctl("ipv4/ip_local_port_range", "40000 40003")?;
    let clients: io::Result<Vec<_>> = (0..PORTS).map(|_| connect(place())).collect();
    let clients = clients?;
    stage.begin();
    while stage.goes_on(PACE) {
        if connect(place()).is_ok() {
            return Err(io::Error::other("there was another source port"));
        }
    }
    drop((clients, listener));
    Ok(())
}

pub(super) fn out_of_time(stage: &Stage) -> io::Result<()> {
    /// Of the SYN.
    const CLOCK: u32 = 1_000_000;
    kernel::tells_of_handshakes()?;
    come(stage, |strangers| {
        let client = strangers.come(Some(CLOCK))?;
        client.acknowledge(Some(CLOCK - 1000))?;
        client.acknowledge(Some(CLOCK + 1))
    })
}

pub(super) fn without_a_way_back(stage: &Stage) -> io::Result<()> {
    /// For documents, and no address of a host (RFC 5737).
    const NOWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    come(stage, |strangers| strangers.syn_from(NOWHERE))
}

pub(crate) fn unanswered(stage: &Stage) -> io::Result<()> {
    // A SYN-ACK is sent again after a second, which every tier tells of; two seconds later the request ends.
    stage.sysctl("ipv4/tcp_synack_retries", "1")?;
    come(stage, Strangers::syn)
}
