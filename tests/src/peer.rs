//! A client made by hand on the wire: each step of its handshake is one call,
//! so that a test decides what arrives, in which order and how often.

use std::net::SocketAddr;

use anyhow::Result;

use crate::segment::{ACK, FIN, PSH, RST, SYN, Segment};
use crate::wire::Wire;

const MSS: u16 = 1400;

pub struct Peer<'wire> {
    wire: &'wire Wire,
    pub client: SocketAddr,
    pub server: SocketAddr,
    /// Our first sequence number.
    pub isn: u32,
    /// The server's, once its SYN-ACK is here.
    pub server_isn: u32,
}

impl<'wire> Peer<'wire> {
    pub fn new(wire: &'wire Wire, client: SocketAddr, server: SocketAddr) -> Self {
        Self {
            wire,
            client,
            server,
            isn: u32::from(client.port()) << 16,
            server_isn: 0,
        }
    }

    /// Also the retransmitted one: sent again, it is the same SYN.
    pub fn syn(&self) -> Result<()> {
        let mut syn = self.segment(SYN, self.isn, 0);
        syn.mss = Some(MSS);
        self.wire.send(&syn)
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

    pub fn reset(&self) -> Result<()> {
        self.wire
            .send(&self.segment(RST, self.isn.wrapping_add(1), 0))
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

    fn segment(&self, flags: u8, seq: u32, ack: u32) -> Segment {
        Segment::new(self.client, self.server, flags, seq, ack)
    }

    fn is_mine(&self, segment: &Segment) -> bool {
        segment.to == self.client && segment.from == self.server
    }
}
