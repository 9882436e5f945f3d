//! Turns ring records into events: bytes come in, [`Event`]s with the field's
//! own words go out. Does no I/O and reads no clock; a record that does not
//! decode is an error to count, never a guess.

mod evidence;
mod kind;
#[cfg(test)]
mod record_tests;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use probe_common::{
    self as wire, Ends, Record, Told, counter, family, flag, hook, state, tcp_flag,
};
use zerocopy::FromBytes;

pub use self::{
    evidence::{DecodeError, Evidence, classify},
    kind::{Kind, Stage},
};

/// The listener at the moment of the event, as the kernel side read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerAt {
    /// 0 where nobody has asked for one yet.
    pub cookie: u64,
    pub addr: SocketAddr,
    pub accept_queue_len: u32,
    pub accept_queue_limit: u32,
    pub syn_queue_len: u32,
    /// `tcp_syncookies` and `tcp_max_syn_backlog` of its namespace.
    pub syncookies: u8,
    pub max_syn_backlog: u32,
}

/// One event, still without what user space knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub mono_ns: u64,
    pub kind: Kind,
    pub stage: Option<Stage>,
    /// Who attempted the connection; `None` where this is not known.
    pub client: Option<SocketAddr>,
    /// This host's end.
    pub local: Option<SocketAddr>,
    /// The other end.
    pub remote: Option<SocketAddr>,
    pub netns: u32,
    pub cpu: u32,
    pub listener: Option<ListenerAt>,
    /// Kernel address and cookie of the socket, the listener's or the connection's.
    pub sock: u64,
    pub cookie: u64,
    pub evidence: Evidence,
    pub moved: [u8; counter::SLOTS],
    /// Noticed at the next packet only: client and listener are not known.
    pub late: bool,
    pub what: What,
}

/// What only some kinds of events tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Of a packet, a request or a connection.
    Segment(Segment),
    /// Of a listener that was closed: the process that closed it, where that is known.
    Closed(Option<Task>),
    /// Of a queue that is near its limit.
    NearLimit,
    /// Of a queue that is below its limit again.
    Eased(Episode),
    /// Of a connection that was refused before.
    Connected(Refused),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    pub seq: u32,
    pub ack_seq: u32,
    /// Timeouts or SYN-ACKs sent again so far.
    pub retransmits: u8,
}

/// What came before a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub first_ns: u64,
    /// The client's initial sequence number.
    pub isn: u32,
    /// How often.
    pub times: u32,
}

/// The time that a queue was near its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Episode {
    /// The longest that the queue was.
    pub peak: u32,
    pub lasted_ns: u64,
}

/// A process as the kernel side saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub pid: u32,
    pub comm: String,
}

impl Event {
    /// One of a listener of which nothing else is known: no end, no packet, no counter.
    pub fn of_listener(
        mono_ns: u64,
        netns: u32,
        listener: ListenerAt,
        kind: Kind,
        hook: u8,
        what: What,
    ) -> Self {
        Self {
            mono_ns,
            kind,
            stage: None,
            client: None,
            local: None,
            remote: None,
            netns,
            cpu: 0,
            listener: Some(listener),
            sock: 0,
            cookie: listener.cookie,
            evidence: Evidence {
                hook,
                flags: 0,
                sock_state: state::LISTEN,
                reason: 0,
                moved: 0,
            },
            moved: [0; counter::SLOTS],
            late: false,
            what,
        }
    }

    /// Of a packet, a request or a connection.
    pub const fn segment(&self) -> Option<&Segment> {
        match &self.what {
            What::Segment(segment) => Some(segment),
            _ => None,
        }
    }

    /// Of a listener that was closed: the process that closed it.
    pub const fn closed_by(&self) -> Option<&Task> {
        match &self.what {
            What::Closed(by) => by.as_ref(),
            _ => None,
        }
    }

    /// Of a queue that is below its limit again.
    pub const fn episode(&self) -> Option<&Episode> {
        match &self.what {
            What::Eased(episode) => Some(episode),
            _ => None,
        }
    }

    /// Of a connection that was refused before.
    pub const fn refused(&self) -> Option<&Refused> {
        match &self.what {
            What::Connected(refused) => Some(refused),
            _ => None,
        }
    }
}

pub fn address(family: u16, bytes: [u8; 16], port: u16) -> Option<SocketAddr> {
    let ip = match family {
        family::INET => {
            let [a, b, c, d, ..] = bytes;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        family::INET6 => IpAddr::V6(Ipv6Addr::from(bytes)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The two ends, this host's last. An IPv4-mapped address is shown as the IPv4 address that it is.
fn both(ends: &Ends) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let end = |bytes, port| {
        let at = address(ends.family, bytes, port);
        at.map(|at| SocketAddr::new(at.ip().to_canonical(), at.port()))
    };
    (
        end(ends.remote_addr, ends.remote_port),
        end(ends.local_addr, ends.local_port),
    )
}

/// Decodes one record.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let record = Record::ref_from_bytes(bytes).map_err(|_| DecodeError::Length(bytes.len()))?;
    let evidence = Evidence::from(record);
    let (kind, stage) = classify(&evidence)?;
    let told = record.told();
    let (remote, local) = match told {
        Told::Segment(wire::Segment { ends, .. })
        | Told::Connected(wire::Connected { ends, .. }) => both(ends),
        Told::Closed(_) | Told::Pressure(_) => (None, None),
    };
    let listener = (record.sock_state == state::LISTEN)
        .then(|| address(record.sock_family, record.bound_addr, record.bound_port))
        .flatten()
        .map(|addr| ListenerAt {
            cookie: record.cookie,
            addr,
            accept_queue_len: record.accept_queue_len,
            accept_queue_limit: record.accept_queue_limit,
            syn_queue_len: record.syn_queue_len,
            syncookies: record.syncookies,
            max_syn_backlog: record.max_syn_backlog,
        });
    Ok(Event {
        mono_ns: record.mono_ns,
        kind,
        stage,
        client: client(record, told, remote, local),
        local,
        remote,
        netns: record.netns,
        cpu: record.cpu,
        listener,
        sock: record.sock,
        cookie: record.cookie,
        evidence,
        moved: record.moved,
        late: evidence.has(flag::LATE),
        what: what(kind, told),
    })
}

fn what(kind: Kind, told: Told<'_>) -> What {
    match told {
        Told::Segment(segment) => What::Segment(Segment {
            seq: segment.seq,
            ack_seq: segment.ack_seq,
            retransmits: segment.retransmits,
        }),
        Told::Closed(closed) => What::Closed(Some(closer(closed))),
        Told::Pressure(pressure) if kind == Kind::Eased => What::Eased(Episode {
            peak: pressure.peak,
            lasted_ns: pressure.lasted_ns,
        }),
        Told::Pressure(_) => What::NearLimit,
        Told::Connected(connected) => What::Connected(Refused {
            first_ns: connected.first_ns,
            isn: connected.isn,
            times: connected.refusals,
        }),
    }
}

/// The task that closed a listener.
fn closer(closed: &wire::Closed) -> Task {
    let comm = closed.comm.split(|byte| *byte == 0).next();
    Task {
        pid: closed.pid,
        comm: String::from_utf8_lossy(comm.unwrap_or_default()).into_owned(),
    }
}

/// Who attempted the connection, where the record can tell.
fn client(
    record: &Record,
    told: Told<'_>,
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
) -> Option<SocketAddr> {
    let syn = matches!(
        told,
        Told::Segment(segment) if segment.tcp_flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN
    );
    match record.sock_state {
        state::SYN_SENT => local,
        state::LISTEN | state::NEW_SYN_RECV | state::SYN_RECV => remote,
        _ if record.flags & flag::UNACCEPTED != 0 || syn => remote,
        _ if record.flags & flag::LISTENER_GONE != 0 => remote,
        _ if record.hook < hook::RETRANSMIT_SKB => remote,
        _ => None,
    }
}
