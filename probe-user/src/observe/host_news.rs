//! What a host says of itself, told at the start and when it has changed: sysctls, tables of tracked connections, and
//! what the kernel's log says of SYN floods.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::host_facts;
use crate::{
    host::{Host, clock::mono_ns, kernel_log::News},
    model::{HostFacts, LogLine, Observed},
};

/// Between two readings, at least.
const EVERY: Duration = Duration::from_secs(2);

/// Namespaces that are asked each time.
const NAMESPACES_AT_MOST: usize = 16;

/// A table of tracked connections is worth telling of while it is so full, in percent.
const NEARLY_FULL: u64 = 90;

pub(crate) struct HostNews {
    /// Or why it cannot be read.
    log: Result<News, String>,
    known: HashMap<u32, HostFacts>,
    asked: Option<Instant>,
    /// With whom to go on where there are more namespaces than are asked at once.
    next: usize,
}

impl HostNews {
    pub(crate) fn begin() -> Self {
        Self {
            log: News::begin().map_err(|error| {
                format!("what the kernel's log says of SYN floods could not be read: {error}")
            }),
            known: HashMap::new(),
            asked: None,
            next: 0,
        }
    }

    pub(crate) fn news(&mut self, now: Instant, namespaces: &[u32], host: &Host) -> Vec<Observed> {
        if self.asked.is_some_and(|asked| now < asked + EVERY) {
            return Vec::new();
        }
        let is_first = self.asked.is_none();
        self.asked = Some(now);
        let mut told = self.floods();
        let some = NAMESPACES_AT_MOST.min(namespaces.len());
        for _ in 0..some {
            let netns = namespaces[self.next % namespaces.len()];
            self.next = self.next.wrapping_add(1);
            let mut facts = host_facts(netns, host);
            if let (true, Err(why)) = (is_first, &self.log) {
                facts.unread.push(why.clone());
            }
            if is_news(self.known.get(&netns), &facts) {
                told.push(Observed::Host(Box::new(facts.clone())));
                self.known.insert(netns, facts);
            }
        }
        self.known.retain(|netns, _| namespaces.contains(netns));
        told
    }

    fn floods(&mut self) -> Vec<Observed> {
        let Ok(log) = &mut self.log else {
            return Vec::new();
        };
        let says = match log.syn_floods() {
            Ok(says) => says,
            Err(error) => {
                let why = format!("the kernel's log could not be read any more: {error}");
                self.log = Err(why.clone());
                vec![why]
            }
        };
        says.into_iter()
            .map(|says| {
                Observed::Log(LogLine {
                    mono_ns: mono_ns(),
                    says,
                })
            })
            .collect()
    }
}

fn is_news(known: Option<&HostFacts>, now: &HostFacts) -> bool {
    let Some(known) = known else { return true };
    let is_nearly_full = now
        .conntrack
        .is_some_and(|(count, most)| u64::from(count) * 100 >= u64::from(most) * NEARLY_FULL);
    known.sysctls != now.sysctls
        || known.untracked != now.untracked
        || is_nearly_full && known.conntrack != now.conntrack
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sysctls::Sysctls;

    #[test]
    fn what_has_changed_is_told() {
        let facts = |somaxconn, conntrack, untracked| HostFacts {
            sysctls: Sysctls {
                somaxconn: Some(somaxconn),
                ..Sysctls::default()
            },
            conntrack: Some((conntrack, 100)),
            untracked: Some(untracked),
            ..HostFacts::default()
        };
        let known = facts(128, 1, 0);
        assert!(is_news(None, &known));
        assert!(!is_news(Some(&known), &known));
        assert!(!is_news(Some(&known), &facts(128, 50, 0)));
        assert!(is_news(Some(&known), &facts(128, 95, 0)));
        assert!(is_news(Some(&known), &facts(64, 1, 0)));
        assert!(is_news(Some(&known), &facts(128, 1, 3)));
    }
}
