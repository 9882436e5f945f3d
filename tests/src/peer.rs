//! A client made by hand on the wire: each step of its handshake is one call,
//! so that a test decides what arrives, in which order and how often.

use std::net::SocketAddr;

use anyhow::Result;

use crate::family::Family;
use crate::icmp;
use crate::listener::Listener;
use crate::segment::{ACK, FIN, PSH, RST, SYN, Segment};
use crate::wire::Wire;

const MSS: u16 = 1400;
/// From our first sequence number to one that the server's window covers.
const IN_WINDOW: u32 = 101;

pub struct Peer<'wire> {
    wire: &'wire Wire,
    pub client: SocketAddr,
    pub server: SocketAddr,
    /// Our first sequence number.
    pub isn: u32,
    /// The server's, once its SYN-ACK is here.
    pub server_isn: u32,
    /// On every segment from now on (RFC 7323).
    pub timestamps: Option<(u32, u32)>,
}

/// Who comes over it.
impl Wire {
    /// A new client, at an address of its own, for this port of ours.
    pub fn peer(&self, family: Family, port: u16) -> Peer<'_> {
        let client = family.client(self.next_client());
        Peer::new(self, client, SocketAddr::new(family.local(), port))
    }

    /// An IPv4 listener that holds two connections and has them: it refuses
    /// every further SYN.
    pub fn full_listener(&self) -> Result<Listener> {
        let listener = Listener::new(self.netns(), Family::V4.local(), 1)?;
        self.fill(&listener)?;
        Ok(listener)
    }

    /// As many handshakes as an IPv4 listener of backlog 1 holds.
    pub fn fill(&self, listener: &Listener) -> Result<()> {
        for _ in 0..2 {
            self.peer(Family::V4, listener.port()).handshake()?;
        }
        Ok(())
    }
}

impl<'wire> Peer<'wire> {
    pub fn new(wire: &'wire Wire, client: SocketAddr, server: SocketAddr) -> Self {
        Self {
            wire,
            client,
            server,
            isn: u32::from(client.port()) << 16,
            server_isn: 0,
            timestamps: None,
        }
    }

    /// Also the retransmitted one: sent again, it is the same SYN.
    pub fn syn(&self) -> Result<()> {
        self.wire.send(&self.first())
    }

    /// A SYN that brings data already (RFC 7413), with no cookie.
    pub fn syn_with_data(&self, data: &[u8]) -> Result<()> {
        let mut syn = self.first();
        syn.data = data.to_vec();
        self.wire.send(&syn)
    }

    /// A SYN with a TCP-MD5 signature, which nobody made with a key.
    pub fn signed_syn(&self) -> Result<()> {
        let mut syn = self.first();
        syn.md5 = Some([0x5a; 16]);
        self.wire.send(&syn)
    }

    /// A SYN with another sequence number, inside of the server's window.
    pub fn syn_in_window(&self) -> Result<()> {
        let seq = self.isn.wrapping_add(IN_WINDOW);
        self.wire.send(&self.segment(SYN, seq, 0))
    }

    /// Whether the kernel has answered the SYN, decided now.
    pub fn answered(&mut self) -> Result<bool> {
        let syn_ack = self
            .wire
            .already(|segment| self.is_mine(segment) && segment.has(SYN | ACK))?;
        if let Some(syn_ack) = &syn_ack {
            self.server_isn = syn_ack.seq;
        }
        Ok(syn_ack.is_some())
    }

    pub fn expect_syn_ack(&mut self) -> Result<()> {
        let syn_ack = self.wire.expect("SYN-ACK", |segment| {
            self.is_mine(segment) && segment.has(SYN | ACK)
        })?;
        self.server_isn = syn_ack.seq;
        Ok(())
    }

    pub fn expect_reset(&self) -> Result<Segment> {
        self.wire
            .expect("RST", |segment| self.is_mine(segment) && segment.has(RST))
    }

    pub fn expect_fin(&self) -> Result<Segment> {
        self.wire
            .expect("FIN", |segment| self.is_mine(segment) && segment.has(FIN))
    }

    /// The SYN-ACK acknowledges the SYN, and no data that came with it.
    pub fn expect_plain_syn_ack(&mut self) -> Result<()> {
        let syn_ack = self.wire.expect("SYN-ACK of the SYN alone", |segment| {
            self.is_mine(segment)
                && segment.has(SYN | ACK)
                && segment.ack == self.isn.wrapping_add(1)
        })?;
        self.server_isn = syn_ack.seq;
        Ok(())
    }

    /// SYN out, SYN-ACK in: what is missing is our ACK.
    pub fn open(&mut self) -> Result<()> {
        self.syn()?;
        self.expect_syn_ack()
    }

    /// The whole handshake, as far as the client can tell.
    pub fn handshake(&mut self) -> Result<()> {
        self.open()?;
        self.ack()
    }

    /// The final ACK of the handshake.
    pub fn ack(&self) -> Result<()> {
        self.wire.send(&self.segment(
            ACK,
            self.isn.wrapping_add(1),
            self.server_isn.wrapping_add(1),
        ))
    }

    pub fn data(&self, data: &[u8]) -> Result<()> {
        let mut segment = self.segment(
            ACK | PSH,
            self.isn.wrapping_add(1),
            self.server_isn.wrapping_add(1),
        );
        segment.data = data.to_vec();
        self.wire.send(&segment)
    }

    pub fn fin(&self) -> Result<()> {
        self.wire.send(&self.segment(
            ACK | FIN,
            self.isn.wrapping_add(1),
            self.server_isn.wrapping_add(1),
        ))
    }

    /// Our FIN, which acknowledges the server's.
    pub fn fin_after_fin(&self) -> Result<()> {
        self.wire.send(&self.segment(
            ACK | FIN,
            self.isn.wrapping_add(1),
            self.server_isn.wrapping_add(2),
        ))
    }

    /// An ACK of all that a client has sent who sent nothing but SYN and FIN.
    pub fn expect_ack_of_fin(&self) -> Result<Segment> {
        self.wire.expect("ACK of the FIN", |segment| {
            self.is_mine(segment)
                && segment.has(ACK)
                && segment.flags & (SYN | RST | FIN) == 0
                && segment.ack == self.isn.wrapping_add(2)
        })
    }

    pub fn reset(&self) -> Result<()> {
        self.wire
            .send(&self.segment(RST, self.isn.wrapping_add(1), 0))
    }

    /// A reset inside of the server's window, but not of the next byte.
    pub fn reset_in_window(&self) -> Result<()> {
        let seq = self.isn.wrapping_add(IN_WINDOW);
        self.wire.send(&self.segment(RST, seq, 0))
    }

    /// An ICMP error of this code about the SYN-ACK.
    pub fn unreachable(&self, code: u8) -> Result<()> {
        let mut syn_ack = self.segment(SYN | ACK, self.server_isn, self.isn.wrapping_add(1));
        (syn_ack.from, syn_ack.to) = (self.server, self.client);
        self.wire.write(&icmp::unreachable(&syn_ack, code))
    }

    /// An ACK that the kernel has sent since, if there is one.
    pub fn challenged(&self) -> Result<bool> {
        let challenge = self.wire.already(|segment| self.is_challenge(segment))?;
        Ok(challenge.is_some())
    }

    pub fn expect_challenge(&self) -> Result<Segment> {
        self.wire
            .expect("challenge ACK", |segment| self.is_challenge(segment))
    }

    /// An ACK of something that the server never sent.
    pub fn bad_ack(&self) -> Result<()> {
        self.wire.send(&self.segment(
            ACK,
            self.isn.wrapping_add(1),
            self.server_isn.wrapping_add(77_777),
        ))
    }

    /// A right ACK with a sequence number far outside of the server's window.
    pub fn out_of_window_ack(&self) -> Result<()> {
        let far = self.isn.wrapping_add(0x4000_0000);
        self.wire
            .send(&self.segment(ACK, far, self.server_isn.wrapping_add(1)))
    }

    /// Any flags, with the numbers of a first segment.
    pub fn stray(&self, flags: u8) -> Result<()> {
        self.wire
            .send(&self.segment(flags, self.isn, if flags & ACK == 0 { 0 } else { 12_345 }))
    }

    fn first(&self) -> Segment {
        let mut syn = self.segment(SYN, self.isn, 0);
        syn.mss = Some(MSS);
        syn
    }

    /// An ACK of our SYN and of nothing else, which is no SYN-ACK.
    fn is_challenge(&self, segment: &Segment) -> bool {
        self.is_mine(segment)
            && segment.has(ACK)
            && segment.flags & (SYN | RST | FIN) == 0
            && segment.ack == self.isn.wrapping_add(1)
    }

    fn segment(&self, flags: u8, seq: u32, ack: u32) -> Segment {
        let mut segment = Segment::new(self.client, self.server, flags, seq, ack);
        segment.timestamps = self.timestamps;
        segment
    }

    fn is_mine(&self, segment: &Segment) -> bool {
        segment.to == self.client && segment.from == self.server
    }
}
