//! A listener of a SO_REUSEPORT group closes, and another one takes over what
//! it had: paths S and S'. Before 5.14 nobody does.

use anyhow::{Result, ensure};

use super::{Expected, fill_accept_queue};
use crate::deadline::{soon, wait_until};
use crate::family::Family;
use crate::listener::{Listener, Options};
use crate::peer::Peer;
use crate::skip::lacks;
use crate::wire::Wire;

/// S: two connections that nobody has accepted yet move to the other listener,
/// whose accept queue they may overfill. Where nothing migrates, they are reset.
pub fn connections_migrate(wire: &Wire, family: Family) -> Result<Expected> {
    let migrates = allow_migration(wire)?;
    let first = member(wire, family, 0, 8)?;
    let mut peers = [(); 2].map(|()| wire.peer(family, first.port()));
    for peer in &mut peers {
        peer.handshake()?;
    }
    let second = member(wire, family, first.port(), 0)?;
    if !migrates {
        let expected = Expected::at(second)
            .close(first)
            .counts(&[("PassiveOpens", 2), ("OutRsts", 2), ("EstabResets", 2)])
            .event("listener-closed", None, None);
        return expected.resets(&peers);
    }
    let expected = Expected::default().close(first);
    let accepted = accept_all(&second, peers.len())?;
    Ok(expected
        .with(second)
        .counts(&[("PassiveOpens", 2), ("TCPMigrateReqSuccess", 2)])
        .keeping(accepted)
        .event("listener-closed", None, None)
        .because("listener-closed", "queued-connections-migrated"))
}

/// I in a group, without migration: that there is another listener helps nobody.
pub fn closed_member_resets(wire: &Wire, family: Family) -> Result<Expected> {
    let first = member(wire, family, 0, 8)?;
    let mut peers = [(); 2].map(|()| wire.peer(family, first.port()));
    for peer in &mut peers {
        peer.handshake()?;
    }
    let second = member(wire, family, first.port(), 8)?;
    let expected = Expected::at(second)
        .close(first)
        .counts(&[("PassiveOpens", 2), ("OutRsts", 2), ("EstabResets", 2)])
        .event("listener-closed", None, None);
    expected.resets(&peers)
}

/// S with a request: its ACK makes the connection at the other listener.
pub fn request_migrates(wire: &Wire, family: Family) -> Result<Expected> {
    let migrates = allow_migration(wire)?;
    let first = member(wire, family, 0, 8)?;
    let mut peer = wire.peer(family, first.port());
    peer.open()?;
    let second = member(wire, family, first.port(), 8)?;
    drop(first);
    peer.ack()?;
    if !migrates {
        return unknown_to(second, &peer, 0);
    }
    let accepted = accept_all(&second, 1)?;
    Ok(Expected::at(second)
        .counts(&[("PassiveOpens", 1), ("TCPMigrateReqSuccess", 1)])
        .keeping(accepted))
}

/// S': the accept queue of the other listener is full.
pub fn migration_target_full(wire: &Wire, family: Family) -> Result<Expected> {
    let migrates = allow_migration(wire)?;
    let first = member(wire, family, 0, 8)?;
    let mut peer = wire.peer(family, first.port());
    peer.open()?;
    let second = member(wire, family, first.port(), 1)?;
    drop(first);
    let opened = fill_accept_queue(wire, family, &second, 1)?;
    peer.ack()?;
    if !migrates {
        return unknown_to(second, &peer, opened);
    }
    Ok(Expected::at(second)
        .counts(&[
            ("PassiveOpens", opened),
            ("ListenOverflows", 1),
            ("ListenDrops", 1),
            ("TCPMigrateReqFailure", 1),
        ])
        .drops(2)
        .event("overflow", "ack", peer.client)
        .because("overflow", "migration-target-full"))
}

/// Whether this kernel can. Debian's 5.10.262 has the sysctl and nothing that
/// reads it, so the counters are asked.
fn allow_migration(wire: &Wire) -> Result<bool> {
    if !wire.netns().counters()?.has("TCPMigrateReqSuccess") {
        lacks("migration of requests", (5, 14))?;
        return Ok(false);
    }
    wire.netns().sysctl("net/ipv4/tcp_migrate_req", "1")?;
    Ok(true)
}

/// A listener of the group; port 0 begins one.
fn member(wire: &Wire, family: Family, port: u16, listen_backlog: i32) -> Result<Listener> {
    let options = Options {
        port,
        listen_backlog,
        reuse_port: true,
        ..Options::default()
    };
    Listener::with(wire.netns(), family.bind(), options)
}

fn accept_all(listener: &Listener, count: usize) -> Result<Vec<std::net::TcpStream>> {
    let mut accepted = Vec::new();
    wait_until("migrated connections to accept", soon(), || {
        accepted.extend(listener.accept()?);
        Ok(accepted.len() == count)
    })?;
    ensure!(listener.accept()?.is_none(), "more than {count} migrated");
    Ok(accepted)
}

/// The ACK found the listener, which knows nothing of its request.
fn unknown_to(listener: Listener, peer: &Peer<'_>, opened: u64) -> Result<Expected> {
    peer.expect_reset()?;
    Ok(Expected::at(listener)
        .counts(&[("PassiveOpens", opened), ("OutRsts", 1)])
        .event("reset-sent", None, peer.client))
}
