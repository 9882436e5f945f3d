//! Why nobody listened, as JSON has it.

use std::net::SocketAddr;

use serde::Serialize;

use super::{
    Cookie,
    identity::{OwnerView, TaskView, owners, task_view},
};
use crate::enrich::{Closed, Elsewhere};

/// A listener of the same port that the packet did not reach.
#[derive(Serialize)]
pub struct ElsewhereView<'a> {
    netns: u32,
    addr: SocketAddr,
    cookie: Cookie,
    owner: Vec<OwnerView<'a>>,
}

impl<'a> From<&'a Elsewhere> for ElsewhereView<'a> {
    fn from(near: &'a Elsewhere) -> Self {
        Self {
            netns: near.netns,
            addr: near.addr,
            cookie: Cookie(near.cookie),
            owner: owners(&near.owner),
        }
    }
}

/// The listener that was there before.
#[derive(Serialize)]
pub struct ClosedView<'a> {
    ago_ms: u64,
    mono_ns: u64,
    addr: SocketAddr,
    cookie: Cookie,
    by: Option<TaskView<'a>>,
    owner: Vec<OwnerView<'a>>,
}

pub fn closed_view(closed: &Closed, event_ns: u64) -> ClosedView<'_> {
    ClosedView {
        ago_ms: event_ns.saturating_sub(closed.mono_ns) / 1_000_000,
        mono_ns: closed.mono_ns,
        addr: closed.addr,
        cookie: Cookie(closed.cookie),
        by: closed.by.as_ref().map(task_view),
        owner: owners(&closed.owner),
    }
}
