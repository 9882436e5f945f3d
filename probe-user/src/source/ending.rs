//! What every watch ends with, whatever feeds it: the kernel's counters beside what was told.

use std::time::Duration;

use crate::{
    analyse::reconcile::Reconciler,
    host::{netns, unread::Unread},
    model::{
        Summary,
        reading::{LostInUserSpace, Sample},
        tier::Tier,
    },
    sink::Lost,
};

/// The end of a watch.
pub(super) struct Ending<'a> {
    pub duration: Duration,
    pub tier: Tier,
    /// The only namespace that was asked for.
    pub netns: Option<u32>,
    pub last: &'a Sample,
    /// Whether that sample was taken. Without it nothing is known: neither a count nor a row.
    pub is_read: bool,
    /// What the output did not take.
    pub lost: Option<&'a Lost>,
    pub reconciler: &'a Reconciler,
    pub unread: Unread,
}

/// A summary that lacks what hooks alone tell, what cannot be told, and names.
pub(super) fn summary(ending: Ending<'_>) -> Summary {
    let own = || netns::current().unwrap_or(0);
    let always = ending.netns.unwrap_or_else(own);
    let none = LostInUserSpace::default();
    let moved = ending.lost.map_or(&none, |lost| &lost.moved);
    let mut rows = ending.reconciler.rows(ending.last, moved, always);
    rows.retain(|row| ending.is_read && ending.netns.is_none_or(|netns| netns == row.netns));
    Summary {
        duration: ending.duration,
        tier: ending.tier,
        counts: Default::default(),
        causes: Default::default(),
        top_clients: None,
        listeners: Vec::new(),
        stats: Vec::new(),
        others: Default::default(),
        stories: None,
        groups: Vec::new(),
        loss: crate::model::Loss {
            output_full: ending.lost.map_or(0, |lost| lost.lines),
            ..Default::default()
        },
        health: Default::default(),
        skipped: Default::default(),
        rows,
        accounted: ending.reconciler.accounted(ending.last),
        netns_names: Default::default(),
        unseen: Vec::new(),
        unread: ending.unread.into_sentences(),
        moving: false,
        interim: false,
    }
}
