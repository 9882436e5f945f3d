//! How often what happened, for which cause, and to whom.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use crate::model::{
    cgroup::Cgroup,
    kind::{Kind, Stage},
    owner::Owner,
};

/// How often what happened, and where.
pub type Counts = BTreeMap<(Kind, Option<Stage>), u64>;

/// How often what happened, for which cause.
pub type Causes = BTreeMap<(Kind, String), u64>;

/// Refusals by listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerTally {
    /// The socket cookie, or the name that the counts have for it.
    pub cookie: u64,
    /// The inode number of its network namespace.
    pub netns: u32,
    /// The address and port that it is bound to.
    pub addr: Option<SocketAddr>,
    /// The processes that hold it, as far as they are known.
    pub owner: Arc<[Owner]>,
    /// The cgroup of its maker, where that is known.
    pub cgroup: Option<Arc<Cgroup>>,
    /// How often what happened, and at which stage.
    #[serde(with = "super::pairs")]
    pub counts: BTreeMap<(Kind, Option<Stage>), u64>,
    /// How often for which cause.
    #[serde(with = "super::pairs")]
    pub causes: Causes,
}

impl ListenerTally {
    /// How many refusals there were.
    pub fn refusals(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// `70 overflow (64 syn, 6 ack), 3 reset-sent`, or that nothing happened.
pub fn counts_in_words(counts: &BTreeMap<(Kind, Option<Stage>), u64>) -> String {
    let kinds = Kind::ALL.into_iter().filter_map(|kind| {
        let of_kind = || {
            counts
                .iter()
                .filter(move |((k, _), n)| *k == kind && **n > 0)
        };
        let total: u64 = of_kind().map(|(_, n)| n).sum();
        let stages: Vec<String> = of_kind()
            .filter_map(|((_, stage), n)| Some(format!("{n} {}", (*stage)?.name())))
            .collect();
        (total > 0).then(|| match stages.as_slice() {
            [] => format!("{total} {kind}"),
            _ => format!("{total} {kind} ({})", stages.join(", ")),
        })
    });
    let words: Vec<String> = kinds.collect();
    if words.is_empty() {
        "nothing happened".into()
    } else {
        words.join(", ")
    }
}

/// The address of a listener, or what else is known of it.
pub fn name_of(tally: &ListenerTally) -> String {
    tally
        .addr
        .map_or_else(|| format!("cookie {:#x}", tally.cookie), |a| a.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_like_a_sentence() {
        let counts = BTreeMap::from([
            ((Kind::Overflow, Some(Stage::Syn)), 64),
            ((Kind::Overflow, Some(Stage::Ack)), 6),
            ((Kind::ResetSent, None), 3),
        ]);
        assert_eq!(
            counts_in_words(&counts),
            "70 overflow (64 syn, 6 ack), 3 reset-sent"
        );
        assert_eq!(counts_in_words(&BTreeMap::new()), "nothing happened");
    }
}
