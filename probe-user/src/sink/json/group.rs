//! The SO_REUSEPORT group of a row, as JSON has it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Group;

#[derive(Serialize, JsonSchema)]
pub(super) struct GroupView {
    members: usize,
    refusals: u64,
    share: f64,
    accept_queue_len: u32,
    accept_queue_limit: u32,
}

/// `None` for a listener that has its address and port for itself, or is no more.
pub(super) fn group_view(groups: &[Group], cookie: u64) -> Option<GroupView> {
    let mut found = groups
        .iter()
        .filter_map(|group| Some((group, group.member(cookie)?)));
    let (group, member) = found.next()?;
    Some(GroupView {
        members: group.members.len(),
        refusals: group.refusals(),
        share: group.share(member),
        accept_queue_len: member.accept_queue_len,
        accept_queue_limit: member.accept_queue_limit,
    })
}
