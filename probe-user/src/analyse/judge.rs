//! Whether what was seen is all there was: a summary comes in, the reasons to
//! doubt it go out. Does no I/O and reads no clock.

use crate::model::{OF_REFUSALS, Summary, tier::Tier};

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `None` for all namespaces.
    pub namespaces: Option<&'a [u32]>,
    /// Whether some listeners are judged only.
    pub picks_listeners: bool,
    /// Whether every namespace that is judged can be found and read.
    pub reads_all: bool,
}

/// Why refusals may be missing from the counts; empty where none can be.
pub fn doubts(summary: &Summary, scope: Scope<'_>) -> Vec<String> {
    let mut doubts = summary.unread.clone();
    doubts.extend(of_rows(summary, scope));
    doubts.extend(of_namespaces(summary, scope));
    let mut add = |n: u64, one: &str, several: &str| match n {
        0 => {}
        1 => doubts.push(format!("one {one}")),
        n => doubts.push(format!("{n} {several}")),
    };
    let health = summary.health;
    add(
        summary.loss.total(),
        "event was lost before it was looked at",
        "events were lost before they were looked at",
    );
    add(
        health.counts_full + health.sums_full,
        "event found no room in the kernel side's counts",
        "events found no room in the kernel side's counts",
    );
    add(
        health.unreadable,
        "reading of the kernel's counters made no sense",
        "readings of the kernel's counters made no sense",
    );
    if scope.picks_listeners {
        // Their listener is not known, so it may be this one.
        add(
            health.late,
            "decision was found late, so its listener is not known",
            "decisions were found late, so their listener is not known",
        );
    }
    if !scope.reads_all {
        let why = "without CAP_SYS_PTRACE and CAP_SYS_ADMIN not every network namespace is found and read; name one with --netns";
        doubts.push(why.into());
    }
    doubts
}

fn of_rows(summary: &Summary, scope: Scope<'_>) -> Vec<String> {
    let rows = summary.rows.iter().filter(|row| {
        OF_REFUSALS.contains(&row.counter)
            && scope
                .namespaces
                .is_none_or(|those| those.contains(&row.netns))
    });
    let mut doubts: Vec<String> = rows
        .filter_map(|row| {
            let (counter, netns) = (row.counter, row.netns);
            match row.unattributed {
                None => {
                    let why = row.no_kernel.map(|why| why.to_string());
                    let why = why.unwrap_or_else(|| "it ended, or cannot be read".into());
                    Some(format!(
                        "how many {counter} the kernel counted in netns {netns} is not known: {why}"
                    ))
                }
                // Without hooks nothing is attributed; what was counted is all that is known.
                Some(n) if summary.tier == Tier::Counters => {
                    (n > 0 && scope.picks_listeners).then(|| {
                        format!("{n} {counter} in netns {netns}: without hooks nobody knows whose")
                    })
                }
                Some(0) => None,
                Some(n) if n > 0 => Some(format!(
                    "no hook saw {n} of the kernel's {counter} in netns {netns}"
                )),
                Some(n) => Some(format!(
                    "the hooks saw {} {counter} more than the kernel counted in netns {netns}",
                    n.unsigned_abs()
                )),
            }
        })
        .collect();
    if summary.moving && !doubts.is_empty() {
        doubts.push("the counters were still moving while they were read for the last time".into());
    }
    doubts
}

/// Where no row says so: the kernel's counters stand for nothing if they were not read.
fn of_namespaces(summary: &Summary, scope: Scope<'_>) -> Vec<String> {
    let Some(namespaces) = scope.namespaces else {
        let none = summary.accounted.is_empty();
        let doubt =
            "the kernel's counters could be read in no network namespace from beginning to end";
        return none.then(|| doubt.into()).into_iter().collect();
    };
    let has_row = |netns: u32| {
        let mut rows = summary.rows.iter();
        rows.any(|row| row.netns == netns && OF_REFUSALS.contains(&row.counter))
    };
    namespaces
        .iter()
        .filter(|netns| !summary.accounted.contains(netns) && !has_row(**netns))
        .map(|netns| {
            format!(
                "the kernel's counters of netns {netns} could not be read from beginning to end"
            )
        })
        .collect()
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::rows::Row;

    /// One in which nothing happened, but for these counts and what no hook saw of them, in namespace 7.
    pub fn summary(tier: Tier, kernel: Option<u64>, unattributed: Option<i64>) -> Summary {
        let rows = OF_REFUSALS.map(|counter| Row {
            netns: 7,
            counter,
            kernel,
            no_kernel: None,
            seen: 0,
            sampled: 0,
            lost: 0,
            unattributed,
        });
        Summary {
            duration: Duration::from_secs(2),
            tier,
            counts: Default::default(),
            causes: Default::default(),
            top_clients: None,
            listeners: Vec::new(),
            others: Default::default(),
            stats: Vec::new(),
            groups: Vec::new(),
            loss: Default::default(),
            health: Default::default(),
            skipped: Default::default(),
            stories: None,
            rows: rows.into(),
            accounted: kernel.map(|_| 7).into_iter().collect(),
            netns_names: Default::default(),
            unseen: Vec::new(),
            unread: Vec::new(),
            moving: false,
            interim: false,
        }
    }

    const EVERYTHING: Scope<'_> = Scope {
        namespaces: None,
        picks_listeners: false,
        reads_all: true,
    };

    const ONE: Scope<'_> = Scope {
        namespaces: Some(&[7]),
        picks_listeners: true,
        reads_all: true,
    };

    #[test]
    fn what_adds_up_leaves_no_doubt() {
        let sound = summary(Tier::Cgroup, Some(0), Some(0));
        assert!(doubts(&sound, EVERYTHING).is_empty());
        assert!(doubts(&sound, ONE).is_empty());
        let moving = Summary {
            moving: true,
            ..sound
        };
        assert!(doubts(&moving, EVERYTHING).is_empty());
    }

    #[test]
    fn what_no_hook_saw_and_what_nobody_knows_is_doubted() {
        for (kernel, unattributed) in [(Some(3), Some(3)), (Some(0), Some(-1)), (None, None)] {
            let found = doubts(&summary(Tier::Cgroup, kernel, unattributed), ONE);
            assert_eq!(found.len(), 3, "{found:?}");
        }
    }

    #[test]
    fn other_namespaces_are_no_matter() {
        let elsewhere = Scope {
            namespaces: Some(&[8]),
            ..ONE
        };
        let mut moved = summary(Tier::Cgroup, Some(3), Some(3));
        moved.accounted.insert(8);
        assert!(doubts(&moved, elsewhere).is_empty());
    }

    #[test]
    fn a_namespace_that_was_not_read_is_doubted_without_a_row() {
        let elsewhere = Scope {
            namespaces: Some(&[8]),
            ..ONE
        };
        let sound = summary(Tier::Cgroup, Some(0), Some(0));
        let found = doubts(&sound, elsewhere);
        assert_eq!(
            found,
            ["the kernel's counters of netns 8 could not be read from beginning to end"]
        );
        let mut blind = summary(Tier::Cgroup, Some(0), Some(0));
        blind.rows.clear();
        blind.accounted.clear();
        assert_eq!(doubts(&blind, ONE).len(), 1);
        assert_eq!(doubts(&blind, EVERYTHING).len(), 1);
        assert!(!blind.adds_up());
    }

    #[test]
    fn what_could_not_be_read_is_doubted_whatever_the_rows_say() {
        let mut unread = summary(Tier::Cgroup, Some(0), Some(0));
        unread.unread.push("the map could not be read".into());
        for scope in [EVERYTHING, ONE] {
            assert_eq!(doubts(&unread, scope), ["the map could not be read"]);
        }
        assert!(!unread.adds_up());
    }

    #[test]
    fn without_hooks_only_a_listener_is_in_doubt() {
        let counted = summary(Tier::Counters, Some(3), Some(3));
        assert!(doubts(&counted, EVERYTHING).is_empty());
        assert_eq!(doubts(&counted, ONE).len(), 3);
        let unknown = summary(Tier::Counters, None, None);
        assert_eq!(doubts(&unknown, EVERYTHING).len(), 4);
    }

    #[test]
    fn namespaces_that_nobody_can_read_are_doubted() {
        let scope = Scope {
            reads_all: false,
            ..EVERYTHING
        };
        let found = doubts(&summary(Tier::Cgroup, Some(0), Some(0)), scope);
        assert!(found[0].starts_with("without CAP_SYS_PTRACE"), "{found:?}");
    }

    #[test]
    fn losses_are_doubted() {
        let mut lossy = summary(Tier::Cgroup, Some(0), Some(0));
        lossy.loss.ring_full = 4;
        lossy.health.unreadable = 1;
        lossy.health.late = 2;
        assert_eq!(
            doubts(&lossy, EVERYTHING),
            [
                "4 events were lost before they were looked at",
                "one reading of the kernel's counters made no sense"
            ]
        );
        assert_eq!(doubts(&lossy, ONE).len(), 3);
    }
}
