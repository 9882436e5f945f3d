//! What a watch ends with.

use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use probe_common::Health;

use super::{
    client::TopClient,
    gone::Others,
    group::Group,
    loss::Loss,
    rows::Row,
    stats::ListenerStatsRow,
    tally::{Causes, ListenerTally},
};
use crate::model::{
    cause::is_stray_drop,
    counted::Skipped,
    kind::{Kind, Stage},
    netns_name::NetnsName,
    story::Totals,
    tier::Tier,
};

/// What namespaces are called that have a name.
pub type NetnsNames = BTreeMap<u32, Arc<NetnsName>>;

/// The end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// How long it lasted.
    pub duration: Duration,
    /// The way of watching.
    pub tier: Tier,
    /// How often what happened, and at which stage.
    #[serde(with = "super::pairs")]
    pub counts: BTreeMap<(Kind, Option<Stage>), u64>,
    /// How often for which cause.
    #[serde(with = "super::pairs")]
    pub causes: Causes,
    /// Those who were refused most, of what had a line; `None` where nobody knows whom it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_clients: Option<Vec<TopClient>>,
    /// What each listener refused, the most first.
    pub listeners: Vec<ListenerTally>,
    /// What listeners went through, each to which something came.
    pub stats: Vec<ListenerStatsRow>,
    /// Those that have no row in either.
    #[serde(default, skip_serializing_if = "Others::is_empty")]
    pub others: Others,
    /// What became of attempts that were refused, where that is wanted.
    pub stories: Option<Totals>,
    /// SO_REUSEPORT groups of more than one that these listeners belong to.
    pub groups: Vec<Group>,
    /// What of the detail was lost.
    pub loss: Loss,
    /// What the kernel side says of itself.
    #[serde(with = "super::health")]
    pub health: Health,
    /// Runs of hooks that the kernel skipped.
    pub skipped: Skipped,
    /// What the hooks saw beside what the kernel counted.
    pub rows: Vec<Row>,
    /// Namespaces whose counters are known from beginning to end, with rows or without.
    pub accounted: BTreeSet<u32>,
    /// What could not be read, in sentences: what it would have told is missing here, and is not zero.
    pub unread: Vec<String>,
    /// What these namespaces are called.
    #[serde(default, with = "super::pairs")]
    pub netns_names: NetnsNames,
    /// Kinds that nobody looked for, or that cannot be seen there: that there was none says nothing.
    #[serde(default)]
    pub unseen: Vec<Kind>,
    /// The counters were still moving while they were read for the last time.
    pub moving: bool,
    /// It was asked for while the watch went on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interim: bool,
}

impl Summary {
    /// Connection attempts that listeners refused, of those that were asked for.
    pub fn refusals(&self) -> u64 {
        let refused = self
            .counts
            .iter()
            .filter(|((kind, _), _)| kind.is_refusal());
        refused.map(|(_, n)| n).sum()
    }

    /// What the kernel threw away of attempts to connect before a listener decided, by drop reason. Lines tell of these one
    /// by one, so it is a minimum where detail was left out or lost.
    pub fn dropped_before(&self) -> impl Iterator<Item = (&str, u64)> {
        let causes = self.causes.iter();
        let dropped = causes.filter(|((kind, cause), n)| {
            *kind == Kind::PacketDrop && **n > 0 && !is_stray_drop(cause)
        });
        dropped.map(|((_, cause), n)| (cause.as_str(), *n))
    }

    /// `3 SYNs were dropped before their listener: netfilter-drop 3`; `None` where there were none.
    pub fn dropped_before_in_words(&self) -> Option<String> {
        let causes: Vec<String> = self
            .dropped_before()
            .map(|(cause, n)| format!("{cause} {n}"))
            .collect();
        let all: u64 = self.dropped_before().map(|(_, n)| n).sum();
        let acks = (Kind::PacketDrop, Some(Stage::Ack));
        let what = match (self.counts.get(&acks), all) {
            (_, 0) => return None,
            (None | Some(0), 1) => "SYN was",
            (None | Some(0), _) => "SYNs were",
            (Some(_), 1) => "packet was",
            (Some(_), _) => "packets were",
        };
        let is_part = self.loss.total() > 0;
        let at_least = if is_part { "at least " } else { "" };
        let causes = causes.join(", ");
        Some(format!(
            "{at_least}{all} {what} dropped before the listener: {causes}"
        ))
    }

    /// What was refused to whoever came, by listeners and by others.
    pub fn harm(&self) -> u64 {
        let is_harm =
            |kind: Kind| kind.is_refusal() || matches!(kind, Kind::Refused | Kind::PacketDrop);
        let counts = self.counts.iter();
        counts
            .filter(|((kind, _), _)| is_harm(*kind))
            .map(|(_, n)| n)
            .sum()
    }

    /// What an unattributed refusal can be, given what the hooks of this tier
    /// do not cover by design; empty when nothing is unattributed.
    pub fn unattributed_may_be(&self) -> &'static [&'static str] {
        if self
            .rows
            .iter()
            .all(|row| row.unattributed.unwrap_or(0) <= 0)
        {
            return &[];
        }
        match self.tier {
            Tier::Counters => &["any refusal: there are no hooks on this tier"],
            Tier::Cgroup => &[
                "an ICMP error for a half-open request",
                "a SYN cookie refused to an XDP or tc program",
                "an ACK whose listener was being closed on another CPU",
                "DCCP",
            ],
            Tier::Trampoline => &[
                "a SYN to a multicast or broadcast address",
                "a SYN cookie refused to an XDP or tc program",
                "DCCP",
            ],
            Tier::Kprobe => &[
                "a SYN to a multicast or broadcast address",
                "a SYN cookie refused to an XDP or tc program",
                "a kprobe that the kernel skipped because another BPF program, or a look into a map, was under way on that CPU",
                "DCCP",
            ],
        }
    }

    /// Whether every counter is accounted for, of one namespace at least.
    pub fn adds_up(&self) -> bool {
        let is_read = self.unread.is_empty() && !self.rows.is_empty();
        is_read
            && self
                .rows
                .iter()
                .all(|row| row.unattributed.is_some_and(|n| n == 0))
    }
}
