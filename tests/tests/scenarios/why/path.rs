//! What happens before the listener, or behind it.

use std::path::Path;

use whydrop_tests::deadline::in_vm;
use whydrop_tests::family::Family;
use whydrop_tests::flood::clients;
use whydrop_tests::nftables;
use whydrop_tests::peer::Peer;
use whydrop_tests::socket_options;
use whydrop_tests::wire::Wire;

use super::*;

const CONNTRACK_MAX: &str = "net/netfilter/nf_conntrack_max";
/// The kernel's own default on a host with memory enough; tracked in a quarter of a minute.
const MANY_CONNECTIONS: usize = 262_144;

/// A server on a wire that `traffic` comes to, now and then.
fn asked_on(
    wire: &Wire,
    watched: &str,
    mut traffic: impl FnMut(Peer<'_>) -> Result<()>,
) -> Result<Value> {
    let serve = Work::Serve { rest_us: 0 };
    let (to, _holder) = held_at(wire.netns(), Family::V4.bind(), BACKLOG, serve)?;
    let mut every = Every::new(PAUSE);
    ask(wire.netns(), &[&to.to_string(), "--for", watched], || {
        if every.is_due() {
            wire.forget_unread();
            traffic(wire.peer(Family::V4, to.port()))?;
        }
        Ok(())
    })
}

#[test]
fn firewall_that_drops() -> Result<()> {
    let wire = Wire::new()?;
    behind(&wire, nftables::drop_input)
}

/// To the client its reset looks as if nobody listened.
#[test]
fn firewall_that_rejects() -> Result<()> {
    let wire = Wire::new()?;
    behind(&wire, nftables::reject_input)
}

fn behind(wire: &Wire, firewall: fn() -> Result<bool>) -> Result<()> {
    if is_before(6, 1)? {
        return skip("this kernel gives no reasons for drops");
    }
    ensure!(
        wire.netns().run(firewall)??,
        "this kernel has no such firewall: it may be built without"
    );
    let answer = asked_on(wire, WATCHED, |peer| peer.syn())?;
    expect(&answer, &["rejected-by-firewall"])
}

/// The kernel has one limit for all namespaces, which only a VM may have for itself; each namespace fills up by itself.
#[test]
fn table_of_connections_that_is_full() -> Result<()> {
    let wire = Wire::new()?;
    if is_before(6, 1)? {
        return skip("this kernel gives no reasons for drops");
    }
    ensure!(
        wire.netns().run(nftables::track_connections)??,
        "this kernel tracks no connections: it may be built without"
    );
    let path = Path::new("/proc/sys").join(CONNTRACK_MAX);
    let limit: usize = std::fs::read_to_string(&path)?.trim().parse()?;
    if in_vm() {
        std::fs::write(&path, "1")?;
        let answer = full_table(&wire, 1);
        std::fs::write(&path, limit.to_string())?;
        return expect(&answer?, &["conntrack-full"]);
    }
    if limit > MANY_CONNECTIONS {
        return skip("this host tracks too many connections");
    }
    expect(&full_table(&wire, limit)?, &["conntrack-full"])
}

/// Asks when so many connections are tracked: whole ones, of which conntrack sees no end, since those without an answer and
/// those that are closing make room for others (net/netfilter/nf_conntrack_core.c:early_drop, gc_worker, 5.10 to 6.18).
fn full_table(wire: &Wire, limit: usize) -> Result<Value> {
    let listener = Listener::new(wire.netns(), Family::V4.bind(), BACKLOG)?;
    for client in clients(30_000, 10).into_iter().take(limit) {
        let mut peer = Peer::new(wire, client, listener.address());
        peer.handshake()?;
        let connection = listener.accept()?.context("a client was not let in")?;
        socket_options::close_silently(connection)?;
        wire.forget_unread();
    }
    asked_on(wire, WATCHED, |peer| peer.syn())
}

/// The ACK is older than the SYN; another one that is not completes the handshake.
#[test]
fn client_whose_clock_goes_back() -> Result<()> {
    if is_before(6, 14)? {
        return skip("this kernel gives no reason for such a drop");
    }
    let wire = Wire::new()?;
    let answer = asked_on(&wire, WATCHED, |mut peer| {
        peer.timestamps = Some((1_000_000, 0));
        peer.open()?;
        for clock in [1, 1_000_001] {
            peer.timestamps = Some((clock, 0));
            peer.ack()?;
        }
        Ok(())
    })?;
    expect(&answer, &["timestamps-rejected"])
}

#[test]
fn answer_that_is_lost() -> Result<()> {
    let wire = Wire::new()?;
    wire.netns().sysctl("net/ipv4/tcp_synack_retries", "0")?;
    let answer = asked_on(&wire, "4s", |peer| peer.syn())?;
    expect_if_told(&answer, "path-loss")
}

/// Answered by the second SYN-ACK only: each is late, since the first was lost.
#[test]
fn answer_that_is_lost_once() -> Result<()> {
    let wire = Wire::new()?;
    let mut late: Option<Peer<'_>> = None;
    let (to, _holder) = held_at(
        wire.netns(),
        Family::V4.bind(),
        BACKLOG,
        Work::Serve { rest_us: 0 },
    )?;
    let answer = ask(wire.netns(), &[&to.to_string(), "--for", "4s"], || {
        match &mut late {
            None => {
                wire.forget_unread();
                let mut peer = wire.peer(Family::V4, to.port());
                peer.open()?;
                late = Some(peer);
            }
            Some(peer) => {
                if peer.answered()? {
                    peer.ack()?;
                    late = None;
                }
            }
        }
        Ok(())
    })?;
    expect(&answer, &["path-loss"])
}

#[test]
fn client_without_a_way_back() -> Result<()> {
    const NOWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    let wire = Wire::new()?;
    let answer = asked_on(&wire, WATCHED, |peer| {
        let from = SocketAddr::new(NOWHERE.into(), peer.client.port());
        Peer::new(&wire, from, peer.server).syn()
    })?;
    expect(&answer, &["memory-or-route"])
}
