//! From the line of a recorded event back to the observation that it was written of.

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use serde::{Deserialize, Deserializer, de::Error};

use crate::model::{
    cause::Cause,
    cgroup::{Cgroup, Container},
    event::{Episode, Event, ListenerAt, Refused, Segment, Task, What},
    evidence::Evidence,
    intern,
    kind::{Kind, Stage},
    netns_name::NetnsName,
    observation::{Observation, Snapshot},
    owner::Owner,
    refusal::{Closed, Elsewhere, Refusal},
    rest::Rest,
    socket::{ConnectionSnapshot, ListenerSnapshot},
};

/// A cookie as `0x…`; `null` is 0.
#[derive(Clone, Copy)]
struct Cookie(u64);

impl<'de> Deserialize<'de> for Cookie {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<Cow<'_, str>>::deserialize(from)? else {
            return Ok(Self(0));
        };
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        u64::from_str_radix(digits, 16)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

#[derive(Deserialize)]
struct ListenerView {
    cookie: Cookie,
    addr: SocketAddr,
    accept_queue_len: u32,
    accept_queue_limit: u32,
    syn_queue_len: u32,
}

#[derive(Deserialize)]
struct ElsewhereView {
    netns: u32,
    addr: SocketAddr,
    cookie: Cookie,
    owner: Arc<[Owner]>,
}

#[derive(Deserialize)]
struct ClosedView {
    mono_ns: u64,
    addr: SocketAddr,
    cookie: Cookie,
    by: Option<Task>,
    owner: Arc<[Owner]>,
}

/// A listener's has queues, a connection's has times.
#[derive(Deserialize)]
struct SnapshotView {
    cookie: Cookie,
    #[serde(deserialize_with = "intern::name")]
    state: crate::model::intern::Name,
    #[serde(default)]
    shared: bool,
    #[serde(default)]
    accept_queue_len: u32,
    #[serde(default)]
    accept_queue_limit: u32,
    uid: Option<u32>,
    inode: Option<u32>,
    rtt_us: Option<u32>,
    rttvar_us: Option<u32>,
    cwnd: Option<u32>,
    retransmits: Option<u32>,
    total_retrans: Option<u32>,
    unacked: Option<u32>,
    drops: Option<u32>,
    cgroup_id: Option<u64>,
}

/// The line; docs/output.md describes its members.
#[derive(Deserialize)]
struct EventLine<'a> {
    mono_ns: u64,
    kind: Kind,
    stage: Option<Stage>,
    cause: Option<String>,
    #[serde(default, deserialize_with = "intern::list")]
    or: crate::model::intern::List,
    client: Option<SocketAddr>,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    netns: u32,
    netns_name: Option<String>,
    netns_pid: Option<u32>,
    cpu: u32,
    listener: Option<ListenerView>,
    reset_reason: Option<Arc<str>>,
    #[serde(default)]
    elsewhere: Vec<ElsewhereView>,
    closed: Option<ClosedView>,
    closed_by: Option<Task>,
    peak: Option<u32>,
    refusals: Option<u32>,
    #[serde(default)]
    late: bool,
    snapshot: Option<SnapshotView>,
    no_snapshot: Option<String>,
    owner: Arc<[Owner]>,
    cgroup: Option<String>,
    unit: Option<String>,
    container: Option<Container>,
    pod: Option<String>,
    #[serde(borrow)]
    item: Rest<'a>,
}

/// The observation, or why the line is none that whydrop has recorded.
pub(super) fn parse(line: &[u8]) -> Result<Observation, serde_json::Error> {
    let mut line: EventLine<'_> = serde_json::from_slice(line)?;
    let event = event(&mut line)?;
    let cause = line.cause.take().map(|id| Cause {
        id: Cow::Owned(id),
        or: line.or,
    });
    let refusal = refusal(&mut line, cause.as_ref());
    let shared = line.snapshot.as_ref().is_some_and(|found| found.shared);
    // A look that answers another line of the same burst says so in the line of a listener only.
    let snapshot = match line.snapshot.take() {
        Some(found) => Ok(snapshot(found, &line.item)?),
        None => Err(line.no_snapshot.take().unwrap_or_default().into()),
    };
    let netns_name = match (line.netns_name.take(), line.netns_pid) {
        (Some(name), _) => Some(NetnsName::Given(name)),
        (None, Some(pid)) => Some(NetnsName::Process {
            pid,
            comm: line.item.netns_comm.take().unwrap_or_default().into_owned(),
        }),
        (None, None) => None,
    };
    Ok(Observation {
        event,
        cause,
        reset_reason: line.reset_reason,
        refusal,
        snapshot,
        shared,
        owner: line.owner,
        cgroup: line.cgroup.map(|path| {
            Arc::new(Cgroup {
                path,
                unit: line.unit,
                container: line.container,
                pod: line.pod,
            })
        }),
        netns_name: netns_name.map(Arc::new),
    })
}

/// What only its kind tells.
fn what(line: &mut EventLine<'_>) -> Result<What, serde_json::Error> {
    let rest = &line.item;
    let missing = |name| serde_json::Error::custom(format_args!("it has no {name}"));
    Ok(match line.kind {
        Kind::ListenerClosed => What::Closed(line.closed_by.take()),
        Kind::NearLimit => What::NearLimit,
        Kind::Eased => What::Eased(Episode {
            peak: line.peak.ok_or_else(|| missing("peak"))?,
            lasted_ns: rest.lasted_ns.ok_or_else(|| missing("lasted_ns"))?,
        }),
        Kind::Connected => What::Connected(Refused {
            first_ns: rest
                .refused_first_ns
                .ok_or_else(|| missing("refused_first_ns"))?,
            isn: rest.seq,
            times: line.refusals.ok_or_else(|| missing("refusals"))?,
        }),
        _ => What::Segment(Segment {
            seq: rest.seq,
            ack_seq: rest.ack_seq,
            retransmits: rest.retransmits as u8,
        }),
    })
}

fn event(line: &mut EventLine<'_>) -> Result<Event, serde_json::Error> {
    let what = what(line)?;
    let rest = &line.item;
    let remote = if rest.remote_is_client {
        line.client
    } else {
        line.remote
    };
    Ok(Event {
        mono_ns: line.mono_ns,
        kind: line.kind,
        stage: line.stage,
        client: line.client,
        local: line.local,
        remote,
        netns: line.netns,
        cpu: line.cpu,
        listener: line.listener.as_ref().map(|at| ListenerAt {
            cookie: at.cookie.0,
            addr: at.addr,
            accept_queue_len: at.accept_queue_len,
            accept_queue_limit: at.accept_queue_limit,
            syn_queue_len: at.syn_queue_len,
            syncookies: rest.syncookies as u8,
            max_syn_backlog: rest.max_syn_backlog,
        }),
        sock: rest.sock,
        cookie: rest.cookie,
        evidence: Evidence {
            hook: rest.hook,
            flags: rest.flags,
            sock_state: rest.sock_state,
            reason: rest.reason,
            moved: rest.moved,
        },
        moved: rest.slots,
        late: line.late,
        what,
    })
}

fn refusal(line: &mut EventLine<'_>, cause: Option<&Cause>) -> Refusal {
    let inodes = line
        .item
        .elsewhere_inodes
        .iter()
        .copied()
        .chain(std::iter::repeat(0));
    let names = std::mem::take(&mut line.item.elsewhere_names).into_iter();
    let rest = inodes.zip(names.chain(std::iter::repeat(None)));
    let elsewhere = std::mem::take(&mut line.elsewhere).into_iter().zip(rest);
    let closed_netns = line.item.closed_netns.unwrap_or(line.netns);
    Refusal {
        cause: cause.filter(|_| line.item.cause_by_look).cloned(),
        elsewhere: elsewhere
            .map(|(one, (inode, netns_name))| Elsewhere {
                netns: one.netns,
                netns_name,
                addr: one.addr,
                cookie: one.cookie.0,
                inode,
                owner: one.owner,
            })
            .collect(),
        closed: line.closed.take().map(|one| Closed {
            mono_ns: one.mono_ns,
            netns: closed_netns,
            addr: one.addr,
            cookie: one.cookie.0,
            by: one.by,
            owner: one.owner,
        }),
    }
}

fn snapshot(found: SnapshotView, rest: &Rest<'_>) -> Result<Snapshot, serde_json::Error> {
    let missing = || serde_json::Error::custom("the snapshot has no time");
    let taken_mono_ns = rest.taken_ns.ok_or_else(missing)?;
    let cookie = found.cookie.0;
    Ok(match rest.bound {
        Some(bound) => Snapshot::Listener(ListenerSnapshot {
            cookie,
            addr: bound.addr,
            v6only: bound.v6only,
            ifindex: bound.ifindex,
            inode: found.inode.unwrap_or(0),
            uid: found.uid.unwrap_or(0),
            accept_queue_len: found.accept_queue_len,
            accept_queue_limit: found.accept_queue_limit,
            drops: found.drops,
            cgroup_id: found.cgroup_id,
            taken_mono_ns,
        }),
        None => Snapshot::Connection(ConnectionSnapshot {
            cookie,
            state: found.state,
            inode: found.inode,
            uid: found.uid,
            rtt_us: found.rtt_us,
            rttvar_us: found.rttvar_us,
            cwnd: found.cwnd,
            retransmits: found.retransmits,
            total_retrans: found.total_retrans,
            unacked: found.unacked,
            drops: found.drops,
            cgroup_id: rest.cgroup_id,
            taken_mono_ns,
        }),
    })
}
