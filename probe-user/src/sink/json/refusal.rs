//! Why nobody listened, as JSON has it.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Cookie,
    address::At,
    identity::{NetnsView, OwnerView, TaskView, owners, task_view},
};
use crate::model::refusal::{Closed, Elsewhere};

/// A listener of the same port that the packet did not reach.
#[derive(Serialize, JsonSchema)]
pub(super) struct ElsewhereView<'a> {
    #[serde(flatten)]
    netns: NetnsView<'a>,
    #[serde(flatten)]
    at: At,
    cookie: Cookie,
    owner: Vec<OwnerView<'a>>,
}

impl<'a> From<&'a Elsewhere> for ElsewhereView<'a> {
    fn from(near: &'a Elsewhere) -> Self {
        Self {
            netns: NetnsView::of(near.netns, near.netns_name.as_deref()),
            at: near.addr.into(),
            cookie: Cookie(near.cookie),
            owner: owners(&near.owner),
        }
    }
}

/// The listener that was there before.
#[derive(Serialize, JsonSchema)]
pub(super) struct ClosedView<'a> {
    ago_ms: u64,
    mono_ns: u64,
    #[serde(flatten)]
    at: At,
    cookie: Cookie,
    by: Option<TaskView<'a>>,
    owner: Vec<OwnerView<'a>>,
}

pub(super) fn closed_view(closed: &Closed, event_ns: u64) -> ClosedView<'_> {
    ClosedView {
        ago_ms: event_ns.saturating_sub(closed.mono_ns) / 1_000_000,
        mono_ns: closed.mono_ns,
        at: closed.addr.into(),
        cookie: Cookie(closed.cookie),
        by: closed.by.as_ref().map(task_view),
        owner: owners(&closed.owner),
    }
}
