//! How a request ends without its ACK: by its timer, path P, or by an ICMP
//! error, path Q.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Expected;
use crate::deadline::{soon, wait_until};
use crate::family::Family;
use crate::listener::Listener;
use crate::peer::Peer;
use crate::processor::Processor;
use crate::requests::half_open;
use crate::wire::Wire;

const SYNACK_RETRIES: &str = "net/ipv4/tcp_synack_retries";
/// "Unreachable" codes by which the kernel gives a request up: of ICMP, host
/// unreachable, of ICMPv6, administratively prohibited
/// (net/ipv4/tcp_ipv4.c:tcp_v4_err, net/ipv6/icmp.c:icmpv6_err_convert).
pub const FATAL: u8 = 1;
/// Those that it ignores: of ICMP, port unreachable, of ICMPv6, address
/// unreachable.
const HARMLESS: u8 = 3;

/// P: the SYN-ACK is sent again once, after 1 s, and 2 s later the request is
/// gone. No counter says so.
pub fn request_expires(wire: &Wire, family: Family) -> Result<Expected> {
    wire.netns().sysctl(SYNACK_RETRIES, "1")?;
    let processor = Processor::stay()?;
    let (listener, peer) = request(wire, family)?;
    // The second one comes at 1 s, rounded up to a step of the timer wheel.
    processor.keep(Duration::from_millis(900), Duration::from_millis(300))?;
    drop(processor);
    wait_for_expiry(wire, &listener)?;
    Ok(Expected::at(listener)
        .counts(&[("TCPTimeouts", 2), ("TCPSynRetrans", 1), ("RetransSegs", 1)])
        .event("synack-retransmit", None, peer.client)
        .event("request-expired", "syn-ack", peer.client))
}

/// P without any retry, after 1 s; then the ACK comes, and fits nothing.
pub fn ack_after_expiry(wire: &Wire, family: Family) -> Result<Expected> {
    wire.netns().sysctl(SYNACK_RETRIES, "0")?;
    let (listener, peer) = request(wire, family)?;
    wait_for_expiry(wire, &listener)?;
    peer.ack()?;
    peer.expect_reset()?;
    Ok(Expected::at(listener)
        .counts(&[("TCPTimeouts", 1), ("OutRsts", 1)])
        .event("request-expired", "syn-ack", peer.client)
        .event("reset-sent", None, peer.client))
}

/// Q: a router says that the client cannot be reached, and the request is gone.
pub fn unreachable_client(wire: &Wire, family: Family) -> Result<Expected> {
    let (listener, peer) = request(wire, family)?;
    peer.unreachable(FATAL)?;
    let left = half_open(wire.netns(), listener.port())?;
    ensure!(left == 0, "{left} requests have survived the ICMP error");
    Ok(Expected::at(listener)
        .counts(&[("ListenDrops", 1)])
        .drops(1)
        .event("listen-drop", "icmp", peer.client))
}

/// Q with an error that the kernel does not believe, or that is about another
/// SYN-ACK: the request stays, and the handshake goes on.
pub fn harmless_icmp(wire: &Wire, family: Family) -> Result<Expected> {
    let (listener, mut peer) = request(wire, family)?;
    peer.unreachable(HARMLESS)?;
    let right = peer.server_isn;
    peer.server_isn = right.wrapping_add(1);
    peer.unreachable(FATAL)?;
    peer.server_isn = right;
    peer.ack()?;
    Ok(Expected::at(listener).counts(&[("PassiveOpens", 1), ("OutOfWindowIcmps", 1)]))
}

fn request(wire: &Wire, family: Family) -> Result<(Listener, Peer<'_>)> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    let mut peer = wire.peer(family, listener.port());
    peer.open()?;
    let waiting = half_open(wire.netns(), listener.port())?;
    ensure!(waiting == 1, "{waiting} requests after one SYN");
    Ok((listener, peer))
}

fn wait_for_expiry(wire: &Wire, listener: &Listener) -> Result<()> {
    wait_until("the end of the request", soon(), || {
        Ok(half_open(wire.netns(), listener.port())? == 0)
    })
}
