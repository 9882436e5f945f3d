//! What counts gained since they were last read. A name that is gone takes nothing with it: what the whole gained, and no
//! part of it did, is gained by the others.

use std::collections::HashMap;

use super::listeners::Listeners;
use crate::model::{
    census::{Counted, What},
    gone::{NAMESPACES, TOGETHER},
};

/// What had been counted by the last reading.
#[derive(Debug, Default)]
pub(super) struct Gains {
    by_listener: HashMap<(u32, u64, What), u64>,
    by_netns: HashMap<(u32, What), u64>,
    all: HashMap<What, u64>,
}

impl Gains {
    pub(super) fn take(&mut self, counts: &[Counted], to: &mut Listeners) {
        let mut now = Self::default();
        for one in counts {
            let what = (one.kind, one.stage, one.cause.clone());
            let named = (one.netns, one.listener, what.clone());
            *now.by_listener.entry(named).or_default() += one.n;
            let in_netns = (one.netns, what.clone());
            *now.by_netns.entry(in_netns).or_default() += one.n;
            *now.all.entry(what).or_default() += one.n;
        }
        let mut given_netns: HashMap<(u32, &What), u64> = HashMap::new();
        for (key, n) in &now.by_listener {
            let (netns, listener, what) = key;
            if matches!(*listener, 0 | TOGETHER) || *netns == NAMESPACES {
                continue;
            }
            let gain = gain(*n, self.by_listener.get(key));
            *given_netns.entry((*netns, what)).or_default() += gain;
            to.add(*netns, Some(*listener), what, gain);
        }
        let mut given: HashMap<&What, u64> = HashMap::new();
        for (key, n) in &now.by_netns {
            let (netns, what) = key;
            if *netns == NAMESPACES {
                continue;
            }
            let known = given_netns.get(&(*netns, what)).copied().unwrap_or(0);
            // Under a number that is another namespace's by now there is less than before, and still something new.
            let gain = gain(*n, self.by_netns.get(key)).max(known);
            *given.entry(what).or_default() += gain;
            to.add(*netns, None, what, gain - known);
        }
        for (what, n) in &now.all {
            let gain = gain(*n, self.all.get(what));
            let known = given.get(what).copied().unwrap_or(0);
            to.add(NAMESPACES, None, what, gain.saturating_sub(known));
        }
        *self = now;
    }
}

fn gain(now: u64, before: Option<&u64>) -> u64 {
    now.saturating_sub(before.copied().unwrap_or(0))
}
