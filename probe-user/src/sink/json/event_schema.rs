//! The members of an event's line, which is written by hand: for the schema. A test holds the lines against it.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    At, Cookie, NetnsView, Whose,
    identity::TaskView,
    names,
    refusal::{ClosedView, ElsewhereView},
};

#[derive(JsonSchema, Serialize)]
pub(crate) struct EventLine<'a> {
    ts: String,
    mono_ns: u64,
    #[schemars(extend("enum" = names::kinds()))]
    kind: &'a str,
    #[schemars(extend("enum" = names::stages()))]
    stage: Option<&'a str>,
    cause: Option<&'a str>,
    or: &'a [&'a str],
    #[serde(flatten)]
    ends: EndsOrNull,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_addr: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_port: Option<u16>,
    #[serde(flatten)]
    netns: NetnsView<'a>,
    cpu: u32,
    listener: Option<Listener>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retransmits: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elsewhere: Option<Vec<ElsewhereView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<ClosedView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_by: Option<TaskView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lasted_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusals: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<f64>,
    late: bool,
    snapshot: Option<Snapshot<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_snapshot: Option<&'a str>,
    #[serde(flatten)]
    whose: Whose<'a>,
    #[schemars(extend("enum" = names::tiers()))]
    tier: &'a str,
}

#[derive(JsonSchema, Serialize)]
struct EndsOrNull {
    client: Option<SocketAddr>,
    client_addr: Option<IpAddr>,
    client_port: Option<u16>,
    local: Option<SocketAddr>,
    local_addr: Option<IpAddr>,
    local_port: Option<u16>,
}

#[derive(JsonSchema, Serialize)]
struct Listener {
    cookie: Option<Cookie>,
    #[serde(flatten)]
    at: At,
    accept_queue_len: u32,
    accept_queue_limit: u32,
    syn_queue_len: u32,
}

#[derive(JsonSchema, Serialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "its schema is all that is wanted of it")]
enum Snapshot<'a> {
    Listener(ListenerSnapshot<'a>),
    Connection(ConnectionSnapshot<'a>),
}

#[derive(JsonSchema, Serialize)]
struct ListenerSnapshot<'a> {
    cookie: Cookie,
    lag_us: i64,
    shared: bool,
    #[schemars(extend("const" = "LISTEN"))]
    state: &'a str,
    accept_queue_len: u32,
    accept_queue_limit: u32,
    drops: Option<u32>,
    uid: u32,
    inode: u32,
    cgroup_id: Option<u64>,
}

#[derive(JsonSchema, Serialize)]
struct ConnectionSnapshot<'a> {
    cookie: Cookie,
    lag_us: i64,
    state: &'a str,
    uid: Option<u32>,
    inode: Option<u32>,
    rtt_us: Option<u32>,
    rttvar_us: Option<u32>,
    cwnd: Option<u32>,
    retransmits: Option<u32>,
    total_retrans: Option<u32>,
    unacked: Option<u32>,
    drops: Option<u32>,
}
