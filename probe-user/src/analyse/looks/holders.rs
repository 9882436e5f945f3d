//! Who held a listener, and when: looks that found all of them come in. Reads no clock.

use std::collections::BTreeMap;

use crate::model::{ObservedQueue, owner::Parent};

/// Processes that are remembered of one listener.
const AT_MOST: usize = 1024;

/// Everybody who was found to hold it.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    held: BTreeMap<u32, Held>,
    parents: BTreeMap<u32, Parent>,
    /// The first and the last look that found anybody.
    times: Option<(u64, u64)>,
    /// Some looks found only some of many, or there were too many to remember: who left is not known.
    is_cut: bool,
}

/// When one was found to hold it.
#[derive(Clone, Debug)]
pub struct Held {
    pub comm: String,
    pub first_ns: u64,
    pub last_ns: u64,
}

impl Holders {
    pub(super) fn saw(&mut self, seen: &ObservedQueue) {
        let parents = seen.parents.iter().cloned();
        self.parents.extend(parents.map(|one| (one.of, one)));
        self.is_cut |= seen.owners_in_all > seen.owners.len();
        // Of a look that found nobody it is not known whom it missed.
        if seen.owners.is_empty() {
            return;
        }
        let now = seen.snapshot.taken_mono_ns;
        let (first_ns, _) = self.times.unwrap_or((now, now));
        self.times = Some((first_ns, now));
        for owner in seen.owners.iter() {
            self.is_cut |= self.held.len() >= AT_MOST;
            if self.is_cut {
                return;
            }
            let held = self.held.entry(owner.pid).or_insert_with(|| Held {
                comm: owner.comm.clone(),
                first_ns: now,
                last_ns: now,
            });
            held.last_ns = now;
        }
    }

    /// Whether some of them are not known, or nobody was found at all: then it is not known either who left.
    pub const fn is_cut(&self) -> bool {
        self.is_cut || self.times.is_none()
    }

    fn all(&self) -> impl Iterator<Item = (u32, &Held)> {
        let known = (!self.is_cut).then_some(&self.held);
        known.into_iter().flatten().map(|(pid, held)| (*pid, held))
    }

    /// Those who hold it no more, where all are known.
    pub fn gone(&self) -> impl Iterator<Item = (u32, &Held)> {
        let last_ns = self.times.map_or(0, |(_, last)| last);
        self.all().filter(move |(_, held)| held.last_ns < last_ns)
    }

    /// Those who hold it and did not when it was found first.
    pub fn newcomers(&self) -> impl Iterator<Item = (u32, &Held)> {
        let (first_ns, last_ns) = self.times.unwrap_or_default();
        let came = move |held: &Held| held.first_ns > first_ns && held.last_ns == last_ns;
        self.all().filter(move |(_, held)| came(held))
    }

    /// How many came to hold it after it was found first.
    pub fn came(&self) -> usize {
        let (first_ns, _) = self.times.unwrap_or_default();
        self.all()
            .filter(|(_, held)| held.first_ns > first_ns)
            .count()
    }

    /// Whether one who holds it, or has, has started this one.
    pub fn is_child(&self, pid: u32) -> bool {
        let parent = self.parents.get(&pid);
        parent.is_some_and(|its| self.held.contains_key(&its.pid))
    }

    /// Who of them started the others, and whose child that is.
    pub fn eldest(&self) -> Option<String> {
        let (_, last_ns) = self.times?;
        let hold = |pid: u32| self.held.get(&pid).is_some_and(|h| h.last_ns == last_ns);
        let parent = |pid: u32| self.parents.get(&pid);
        let now = self.held.iter().filter(|(_, held)| held.last_ns == last_ns);
        let mut elders = now.filter(|(pid, _)| parent(**pid).is_none_or(|its| !hold(its.pid)));
        let (pid, held) = elders.next()?;
        let child_of = parent(*pid).map_or_else(String::new, |its| {
            format!(", a child of {}[{}],", its.comm, its.pid)
        });
        Some(format!("{}[{pid}]{child_of}", held.comm))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{owner::Owner, socket::ListenerSnapshot};

    fn look(at_ns: u64, pids: &[u32], parents: &[(u32, u32)]) -> ObservedQueue {
        let owner = |pid: &u32| Owner {
            pid: *pid,
            comm: "server".into(),
            exe: None,
        };
        let owners: Arc<[Owner]> = pids.iter().map(owner).collect();
        let parents = parents.iter().map(|(of, pid)| Parent {
            of: *of,
            pid: *pid,
            comm: "systemd".into(),
        });
        ObservedQueue {
            look: 0,
            netns: 7,
            snapshot: ListenerSnapshot {
                taken_mono_ns: at_ns,
                ..ListenerSnapshot::sample()
            },
            owners_in_all: owners.len(),
            owners,
            polls: Vec::new(),
            accepted: None,
            inherited: Vec::new(),
            holds: Vec::new(),
            served: None,
            half_open: None,
            parents: parents.collect(),
        }
    }

    fn pids<'a>(found: impl Iterator<Item = (u32, &'a Held)>) -> Vec<u32> {
        found.map(|(pid, _)| pid).collect()
    }

    #[test]
    fn who_left_and_who_came() {
        let mut holders = Holders::default();
        assert!(holders.is_cut(), "nobody was found yet");
        holders.saw(&look(10, &[5, 6, 7], &[]));
        assert!(!holders.is_cut());
        assert_eq!(pids(holders.gone()), [0; 0]);
        // Nobody was found: that is no sign that all have left.
        holders.saw(&look(20, &[], &[]));
        assert_eq!(pids(holders.gone()), [0; 0]);
        holders.saw(&look(30, &[5, 9], &[]));
        assert_eq!(pids(holders.gone()), [6, 7]);
        assert_eq!(pids(holders.newcomers()), [9]);
        assert_eq!(holders.came(), 1);
        // Of many some are looked at: who is missing may be one of the others.
        let some = ObservedQueue {
            owners_in_all: 9,
            ..look(40, &[5], &[])
        };
        holders.saw(&some);
        assert_eq!(pids(holders.gone()), [0; 0]);
        assert!(holders.is_cut());
    }

    #[test]
    fn who_started_the_others() {
        let mut holders = Holders::default();
        assert_eq!(holders.eldest(), None);
        holders.saw(&look(10, &[5, 4, 6], &[(5, 4), (4, 1), (6, 4)]));
        let eldest = "server[4], a child of systemd[1],";
        assert_eq!(holders.eldest().as_deref(), Some(eldest));
        assert_eq!(
            [4, 5, 6, 7].map(|pid| holders.is_child(pid)),
            [false, true, true, false]
        );
        let mut unknown = Holders::default();
        unknown.saw(&look(10, &[5], &[]));
        assert_eq!(unknown.eldest().as_deref(), Some("server[5]"));
    }
}
