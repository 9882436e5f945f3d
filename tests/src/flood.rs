//! SYNs at the highest rate that this machine can do: encoded beforehand and
//! written to the wire one by one, by several threads if need be. A write to a
//! TUN device returns when TCP has decided about the packet, so what was sent
//! is counted by then. On 6.18 with two processors one thread drops 1.3 million
//! a second at a full listener. Raw sockets with sendmmsg(2) over loopback, 512
//! packets a call, reach 0.5 million: each packet is routed, queued, and taken
//! up again by a softirq.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

use crate::family::Family;
use crate::segment::{SYN, Segment};
use crate::wire::Wire;

const MSS: u16 = 1400;

/// Between two looks at the clock.
const BATCH: usize = 256;

/// What to send.
pub struct Flood {
    /// Each of them sends in turn.
    pub clients: Vec<SocketAddr>,
    /// An IPv4 listener.
    pub to: SocketAddr,
    /// At most so many SYNs.
    pub syns: usize,
    /// None are sent after this time.
    pub limit: Duration,
    pub threads: usize,
}

/// The packets are encoded, the ways in are open.
pub struct Ready {
    senders: Vec<Sender>,
    limit: Duration,
}

struct Sender {
    inlet: File,
    packets: Vec<Vec<u8>>,
    syns: usize,
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub struct Flooded {
    pub syns: usize,
    pub took: Duration,
    /// CPU time of the senders, in which the kernel decides.
    pub cpu: Duration,
}

impl Flooded {
    pub fn syns_per_second(&self) -> f64 {
        self.syns as f64 / self.took.as_secs_f64()
    }
}

/// Clients at so many addresses of the wire's network, on so many ports each.
pub fn clients(addresses: u16, ports: u16) -> Vec<SocketAddr> {
    const FIRST_PORT: u16 = 1024;
    assert!(
        addresses <= Family::CLIENTS,
        "the wire has no {addresses} clients"
    );
    (FIRST_PORT..FIRST_PORT + ports)
        .flat_map(|port| {
            (1..=addresses).map(move |n| SocketAddr::new(Family::V4.client(n).ip(), port))
        })
        .collect()
}

/// The addresses of these clients.
pub fn addresses(clients: &[SocketAddr]) -> BTreeSet<IpAddr> {
    clients.iter().map(SocketAddr::ip).collect()
}

/// The SYN of each of them.
pub fn syns(clients: &[SocketAddr], to: SocketAddr) -> Vec<Vec<u8>> {
    clients.iter().map(|client| syn(*client, to)).collect()
}

fn syn(client: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let mut syn = Segment::new(client, to, SYN, u32::from(client.port()) << 16, 0);
    syn.mss = Some(MSS);
    syn.encode()
}

impl Flood {
    pub fn ready(&self, wire: &Wire) -> Result<Ready> {
        let senders = (0..self.threads)
            .map(|number| {
                let clients = self.clients.iter().skip(number).step_by(self.threads);
                Ok(Sender {
                    inlet: wire.inlet()?,
                    packets: clients.map(|client| syn(*client, self.to)).collect(),
                    syns: self.syns / self.threads,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Ready {
            senders,
            limit: self.limit,
        })
    }
}

impl Ready {
    /// Returns when all SYNs were sent, the time is over, or it is `done`.
    pub fn run(&self, done: &AtomicBool) -> Result<Flooded> {
        let began = Instant::now();
        let goes_on = || !done.load(Relaxed) && began.elapsed() < self.limit;
        let sent = thread::scope(|scope| {
            let threads: Vec<_> = self
                .senders
                .iter()
                .map(|sender| scope.spawn(|| sender.send_while(goes_on)))
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect::<Result<Vec<_>>>()
        })?;
        Ok(Flooded {
            syns: sent.iter().map(|(syns, _)| syns).sum(),
            took: began.elapsed(),
            cpu: sent.iter().map(|(_, cpu)| cpu).sum(),
        })
    }
}

impl Sender {
    /// Sends its packets over and over; how many, and the CPU time that took.
    fn send_while(&self, goes_on: impl Fn() -> bool) -> Result<(usize, Duration)> {
        let began = cpu_of_thread();
        let mut packets = self.packets.iter().cycle();
        let mut sent = 0;
        while sent < self.syns && goes_on() {
            let count = BATCH.min(self.syns - sent);
            for packet in packets.by_ref().take(count) {
                (&self.inlet)
                    .write_all(packet)
                    .context("write to the TUN device")?;
            }
            sent += count;
        }
        Ok((sent, cpu_of_thread().saturating_sub(began)))
    }
}

/// CPU time of the calling thread until now.
fn cpu_of_thread() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
