//! Door of benches: the way of an event from its record to its line, without a kernel that sends any. The listener is
//! there, so that it has an owner; what `sock_diag` says of it stays as it is.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    os::fd::AsFd,
};

use probe_common::{Record, Segment, family, flag, hook, state};
use rustix::fs::fstat;
use zerocopy::{FromZeros, IntoBytes, transmute_mut};

use crate::{
    analyse::alarm::Alarms,
    decode::decode,
    enrich::Enricher,
    filter::Filter,
    host::{Host, clock, netns},
    model::{
        Asked, Origin, SelfTest, Start, observation::Observation, request::Request,
        socket::ListenerSnapshot, tier::Tier,
    },
    observe::STATS,
    sink::{Format, Output, Printed, Reporter, Sinks},
    source::{Parts, lines::Lines},
};

/// Of a batch: what comes in while the ring's reader rests, at ten thousand a second.
pub const EVENTS: usize = 100;

const COOKIE: u64 = 0x1f;

/// A watch without a ring.
pub struct Pipeline {
    record: Record,
    enricher: Enricher,
    lines: Lines<'static>,
    seen: Vec<Observation>,
    _listener: TcpListener,
}

impl Pipeline {
    pub fn new(format: Format) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let netns = netns::current()?;
        let mut enricher = Enricher::new(Host::new());
        let snapshot = ListenerSnapshot {
            cookie: COOKIE,
            addr,
            v6only: None,
            ifindex: 0,
            inode: fstat(listener.as_fd())?.st_ino as u32,
            uid: 0,
            accept_queue_len: 129,
            accept_queue_limit: 128,
            drops: Some(41_233),
            cgroup_id: None,
            taken_mono_ns: 5_000_123_456_789,
        };
        enricher.fix(netns, snapshot);
        let clock = clock::wall();
        let reporter = Reporter::new(format, Tier::Cgroup, 0, clock, Origin::default());
        let printed = Printed::new(reporter, Output::none());
        let parts = Parts {
            filter: Filter::default(),
            request: Request::default(),
            sinks: Sinks::new(None, Some(printed), None, clock),
            tells_incidents: true,
            enricher,
        };
        let (mut lines, enricher) = Lines::of(parts, 0);
        lines.alarms = Alarms::of(&start(netns), Some(STATS));
        Ok(Self {
            record: refusal(netns, addr.port()),
            enricher,
            lines,
            seen: Vec::new(),
            _listener: listener,
        })
    }

    /// So many refusals, each of another client.
    #[inline(never)]
    pub fn run(&mut self, events: usize) {
        for nth in 0..events as u16 {
            let segment: &mut Segment = transmute_mut!(&mut self.record.tail);
            segment.ends.remote_port = 1024 + nth;
            self.record.mono_ns += 100_000;
            match decode(self.record.as_bytes()) {
                Ok(event) if self.lines.wants(&event) => {
                    self.seen.push(self.enricher.begin(event));
                }
                _ => self.lines.loss.undecodable += 1,
            }
        }
        self.enricher.observe(&mut self.seen);
        for seen in &self.seen {
            self.lines.show(seen);
        }
        self.seen.clear();
        self.lines.sinks.flush();
    }
}

fn start(netns: u32) -> Start {
    Start {
        tier: Tier::Cgroup,
        hooks: Vec::new(),
        self_test: SelfTest::Skipped("nothing is attached".into()),
        kernel: String::new(),
        absent: Vec::new(),
        filters: Vec::new(),
        listeners: 1,
        namespaces: 1,
        blind: Vec::new(),
        own_netns: netns,
        mono_ns: 0,
        clock: clock::wall(),
        host: String::new(),
        boot_id: None,
        command: Vec::new(),
        observes: true,
        sandbox: None,
        counts_kernel: true,
        reads_all: true,
        asked: Asked::default(),
    }
}

/// A SYN into a full accept queue.
fn refusal(netns: u32, port: u16) -> Record {
    let mut record = Record::new_zeroed();
    record.mono_ns = 5_000_123_456_789;
    record.sock = 0xffff_8880_0000_1000;
    record.cookie = COOKIE;
    record.netns = netns;
    record.accept_queue_len = 129;
    record.accept_queue_limit = 128;
    record.sock_family = family::INET;
    record.bound_addr[..4].copy_from_slice(&Ipv4Addr::LOCALHOST.octets());
    record.bound_port = port;
    let Segment { ends, .. } = transmute_mut!(&mut record.tail);
    ends.family = family::INET;
    ends.remote_addr[..4].copy_from_slice(&[198, 51, 100, 207]);
    ends.local_addr[..4].copy_from_slice(&Ipv4Addr::LOCALHOST.octets());
    ends.local_port = port;
    record.flags = flag::SYN | flag::PACKET;
    record.hook = hook::INGRESS;
    record.sock_state = state::LISTEN;
    record.moved[..2].copy_from_slice(&[1, 1]);
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocations::count;

    fn check(format: Format) {
        let mut pipeline = Pipeline::new(format).expect("a listener of our own");
        pipeline.run(4 * EVENTS);
        let few = count(|| pipeline.run(EVENTS));
        let many = count(|| pipeline.run(4 * EVENTS));
        // One client in so many is looked at closely for the incident.
        assert!(
            many < few + EVENTS as u64 / 4,
            "{format:?}: {many} and {few}"
        );
        pipeline.lines.alarms = Alarms::default();
        let few = count(|| pipeline.run(EVENTS));
        let many = count(|| pipeline.run(4 * EVENTS));
        assert_eq!(many, few, "{format:?}: what is allocated is by batch");
    }

    #[test]
    fn an_event_allocates_nothing_once_it_is_warm() {
        check(Format::Text);
        check(Format::Json);
    }
}
