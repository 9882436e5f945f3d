//! The packets, and the listeners that they meet. All is there before a tracer starts.

use std::net::TcpStream;

use anyhow::{Context, Result};
use whydrop_tests::family::Family;
use whydrop_tests::flood::clients;
use whydrop_tests::listener::Listener;
use whydrop_tests::segment::{ACK, RST, SYN, Segment};
use whydrop_tests::wire::Wire;

/// Fewer than the wire holds answers, and than a tracer's ring holds records.
pub(super) const AT_ONCE: usize = 256;
const ROOM: i32 = 4096;
const ISN: u32 = 1 << 16;

pub(super) struct Path {
    pub name: &'static str,
    pub packets: Vec<Vec<u8>>,
    /// Takes away what they left behind, so that they find everything as it was.
    pub undo: Vec<Vec<u8>>,
    pub is_refused: bool,
    pub port: u16,
}

pub(super) struct Paths {
    pub wire: Wire,
    pub elsewhere: Path,
    pub taken: Path,
    /// The final ACK of a handshake. Its requests are for a while only.
    pub ack: Path,
    pub forget_requests: Vec<Vec<u8>>,
    /// One SYN, and as many as fit.
    pub alone: Path,
    pub refused: Path,
    full: Listener,
    _sockets: (Vec<Listener>, TcpStream),
}

impl Paths {
    pub(super) fn new() -> Result<Self> {
        let wire = Wire::new()?;
        let room = ROOM.to_string();
        wire.netns().sysctl("net/core/somaxconn", &room)?;
        wire.netns().sysctl("net/ipv4/tcp_max_syn_backlog", &room)?;
        let roomy = Listener::new(wire.netns(), Family::V4.bind(), ROOM)?;
        let (elsewhere, accepted) = elsewhere(&wire, &roomy)?;
        let full = wire.full_listener()?;
        let filled = Listener::new(wire.netns(), Family::V4.bind(), 2 * AT_ONCE as i32)?;
        let (ack, forget_requests) = acks(&wire, &filled)?;
        let mut taken = path("taken", &roomy, from_all(&roomy, SYN, ISN));
        taken.undo = from_all(&roomy, RST, ISN + 1);
        let mut refused = path("refused", &full, from_all(&full, SYN, ISN));
        let mut alone = path("alone", &full, vec![refused.packets[0].clone()]);
        (refused.is_refused, alone.is_refused) = (true, true);
        wire.forget_unread();
        Ok(Self {
            wire,
            elsewhere,
            taken,
            ack,
            forget_requests,
            alone,
            refused,
            full,
            _sockets: (vec![roomy, filled], accepted),
        })
    }

    /// The listener that refuses.
    pub(super) fn full(&self) -> &Listener {
        &self.full
    }
}

fn path(name: &'static str, to: &Listener, packets: Vec<Vec<u8>>) -> Path {
    Path {
        name,
        packets,
        undo: Vec::new(),
        is_refused: false,
        port: to.port(),
    }
}

fn from_all(to: &Listener, flags: u8, seq: u32) -> Vec<Vec<u8>> {
    let packet = |client| Segment::new(client, to.address(), flags, seq, 0).encode();
    let clients = clients(64, (AT_ONCE / 64) as u16);
    clients.into_iter().map(packet).collect()
}

/// An ACK of a connection that has nothing new.
fn elsewhere(wire: &Wire, roomy: &Listener) -> Result<(Path, TcpStream)> {
    let mut peer = wire.peer(Family::V4, roomy.port());
    peer.handshake()?;
    let accepted = roomy.accept()?.context("nobody to accept")?;
    let (seq, ack) = (peer.isn.wrapping_add(1), peer.server_isn.wrapping_add(1));
    let packet = Segment::new(peer.client, peer.server, ACK, seq, ack).encode();
    Ok((path("elsewhere", roomy, vec![packet; AT_ONCE]), accepted))
}

/// Requests of a listener whose accept queue is full by now: each final ACK is refused and leaves its request, until a
/// reset ends it. The kernel gives requests less time once they are more than half of what the listener has room for
/// (net/ipv4/inet_connection_sock.c:reqsk_timer_handler, 5.10 to 7.2).
fn acks(wire: &Wire, to: &Listener) -> Result<(Path, Vec<Vec<u8>>)> {
    let (mut acks, mut resets) = (Vec::new(), Vec::new());
    for _ in 0..AT_ONCE {
        let mut peer = wire.peer(Family::V4, to.port());
        peer.open()?;
        let (seq, ack) = (peer.isn.wrapping_add(1), peer.server_isn.wrapping_add(1));
        acks.push(Segment::new(peer.client, peer.server, ACK, seq, ack).encode());
        resets.push(Segment::new(peer.client, peer.server, RST, seq, 0).encode());
    }
    for _ in 0..=2 * AT_ONCE {
        wire.peer(Family::V4, to.port()).handshake()?;
    }
    let mut path = path("ack", to, acks);
    path.is_refused = true;
    Ok((path, resets))
}
