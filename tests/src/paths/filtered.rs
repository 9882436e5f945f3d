//! What reaches a listener's port but not the listener, since something before
//! it drops the packet: a socket filter, path L; TCP-MD5, path X; a minimum of
//! hops, path Y; a firewall, path Z. The client hears nothing. Before 5.17 the kernel gives no
//! reason for a drop, so whydrop cannot tell.

use anyhow::{Result, ensure};

use super::Expected;
use crate::family::Family;
use crate::listener::{Listener, unused_port};
use crate::nftables;
use crate::peer::Peer;
use crate::wire::Wire;

/// As every kernel has that whydrop runs on.
fn without_md5() -> Result<Expected> {
    Expected::impossible("TCP-MD5 (CONFIG_TCP_MD5SIG)", (2, 6))
}

/// L: SO_ATTACH_FILTER lets no SYN pass.
pub fn filtered_syn(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    listener.drop_everything()?;
    let peer = wire.peer(family, listener.port());
    peer.syn()?;
    Ok(unanswered(listener, peer)?.because("packet-drop", "socket-filter"))
}

/// L: the filter comes between SYN and ACK, so the client believes that it is
/// connected.
pub fn filtered_ack(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, listener.port());
    peer.open()?;
    listener.drop_everything()?;
    peer.ack()?;
    Ok(Expected::at(listener).drops(1).maybe_event(
        "packet-drop",
        "ack",
        "socket-filter",
        peer.client,
    ))
}

/// X: the listener has a key for this client, whose SYN is not signed.
pub fn md5_missing(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let peer = wire.peer(family, listener.port());
    if !listener.require_md5(peer.client)? {
        return without_md5();
    }
    peer.syn()?;
    Ok(unanswered(listener, peer)?
        .counts(&[("TCPMD5NotFound", 1)])
        .because("packet-drop", "tcp-md5notfound"))
}

/// X: the client signs, and the listener has a key for somebody else.
pub fn md5_unexpected(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let somebody = wire.peer(family, listener.port());
    if !listener.require_md5(somebody.client)? {
        return without_md5();
    }
    let peer = wire.peer(family, listener.port());
    peer.signed_syn()?;
    Ok(unanswered(listener, peer)?
        .counts(&[("TCPMD5Unexpected", 1)])
        .because("packet-drop", "tcp-md5unexpected"))
}

/// X: the client signs, but not with the listener's key.
pub fn md5_wrong(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let peer = wire.peer(family, listener.port());
    if !listener.require_md5(peer.client)? {
        return without_md5();
    }
    peer.signed_syn()?;
    Ok(unanswered(listener, peer)?
        .counts(&[("TCPMD5Failure", 1)])
        .because("packet-drop", "tcp-md5failure"))
}

/// Y: packets must not have come through a router, and this one may have. 6.1
/// has no name for that reason.
pub fn too_few_hops(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    listener.require_hops(u8::MAX)?;
    let mut peer = wire.peer(family, listener.port());
    peer.syn()?;
    ensure!(!peer.answered()?, "a SYN from far away was answered");
    Ok(Expected::at(listener)
        .counts(&[("TCPMinTTLDrop", 1)])
        .drops(1)
        .maybe_event("packet-drop", "syn", "tcp-minttl", peer.client))
}

/// Z: a firewall drops what comes in. What it drops to a port on which nobody
/// listens is its own affair.
pub fn firewalled_syn(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let unused = unused_port(wire.netns(), family.bind())?;
    if !wire.netns().run(nftables::drop_input)?? {
        return Expected::impossible("nf_tables (CONFIG_NF_TABLES_INET)", (3, 14));
    }
    let mut peer = wire.peer(family, listener.port());
    peer.syn()?;
    let mut stray = wire.peer(family, unused);
    stray.syn()?;
    wire.netns().run(nftables::take_input)??;
    ensure!(!peer.answered()?, "a SYN passed the firewall");
    ensure!(!stray.answered()?, "a SYN to nobody was answered");
    Ok(Expected::at(listener)
        .event("packet-drop", "syn", peer.client)
        .because("packet-drop", "netfilter-drop"))
}

/// The SYN has met silence, and the listener's `sk_drops` knows of it.
fn unanswered(listener: Listener, mut peer: Peer<'_>) -> Result<Expected> {
    ensure!(!peer.answered()?, "the SYN was answered");
    Ok(Expected::at(listener)
        .drops(1)
        .event("packet-drop", "syn", peer.client))
}
