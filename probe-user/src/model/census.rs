//! All that a watch has counted by now, read at once: what metrics are made of.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    kind::{Kind, Stage},
    summary::Summary,
    tally::ListenerTally,
};

/// What happened, where in a handshake, and why.
pub type What = (Kind, Option<Stage>, Option<String>);

/// How often something happened at one listener since the watch began.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The inode number of its network namespace.
    pub netns: u32,
    /// The name that the counts have for the listener: its cookie or its kernel address.
    pub listener: u64,
    /// What happened.
    pub kind: Kind,
    /// Where in a handshake, where it was in one.
    pub stage: Option<Stage>,
    /// Why, where the kind does not say it all.
    pub cause: Option<String>,
    /// How often.
    pub n: u64,
}

/// The counts of one moment and the summary that they make.
#[derive(Clone, Debug)]
pub struct Census {
    /// When, CLOCK_MONOTONIC in nanoseconds.
    pub mono_ns: u64,
    /// Every count, shown or not.
    pub counts: Vec<Counted>,
    /// What is known of those listeners, by the names of the counts.
    pub listeners: BTreeMap<(u32, u64), ListenerTally>,
    /// Namespaces that are there.
    pub present: BTreeSet<u32>,
    /// What the watch would end with by now.
    pub summary: Summary,
}
