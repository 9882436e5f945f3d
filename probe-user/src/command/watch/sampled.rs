//! What was left out of the detail on purpose: counts come in, one line for
//! each that has grown goes out, with how many clients it stands for.

use std::collections::{HashMap, HashSet};

use probe_common::{ClientKey, CountKey, CountValue};

use crate::loader::{ClientSeen, Counts};

/// A client that has been silent for so long is forgotten, as the kernel side
/// does (probe-ebpf/src/sample.rs:FORGOTTEN_AFTER).
const FORGOTTEN_AFTER_NS: u64 = 10_000_000_000;

/// Ticks between two looks through the clients while nothing is left out.
const TIDY_TICKS: u32 = 5;

/// How many of the records of one count were left out lately.
#[derive(Debug, PartialEq, Eq)]
pub struct News {
    pub key: CountKey,
    pub count: u64,
    pub clients: u64,
    /// Whether there was room for every client.
    pub clients_exact: bool,
}

/// What was told.
#[derive(Debug, Default)]
pub struct LeftOut {
    told: HashMap<CountKey, u64>,
    clients: HashMap<ClientKey, u64>,
    /// Clients that had found no room when this was last told.
    clients_full: u64,
    ticks: u32,
}

impl LeftOut {
    /// What was left out before the watch began does not count.
    pub fn since(base: &HashMap<CountKey, CountValue>) -> Self {
        Self {
            told: base.iter().map(|(key, v)| (*key, v.sampled)).collect(),
            ..Self::default()
        }
    }

    /// What was left out since this was last asked.
    pub fn news(
        &mut self,
        now: &HashMap<CountKey, CountValue>,
        clients_full: u64,
        clients: impl FnOnce() -> Vec<(ClientKey, ClientSeen)>,
    ) -> Vec<News> {
        let mut news = Vec::new();
        for (key, value) in now {
            let told = self.told.entry(*key).or_default();
            if value.sampled > *told {
                news.push(News {
                    key: *key,
                    count: value.sampled - *told,
                    clients: 0,
                    clients_exact: clients_full <= self.clients_full,
                });
                *told = value.sampled;
            }
        }
        if news.is_empty() {
            return news;
        }
        self.clients_full = self.clients_full.max(clients_full);
        let grown = self.grown(&clients());
        for one in &mut news {
            one.clients = grown.iter().filter(|c| c.count == one.key).count() as u64;
        }
        news
    }

    /// The clients of which more was left out.
    fn grown(&mut self, clients: &[(ClientKey, ClientSeen)]) -> HashSet<ClientKey> {
        let mut grown = HashSet::new();
        for (key, seen) in clients {
            let before = self.clients.insert(*key, seen.sampled).unwrap_or(0);
            // One that was forgotten and came again began at 0.
            if seen.sampled > before || seen.sampled < before && seen.sampled > 0 {
                grown.insert(*key);
            }
        }
        grown
    }

    /// Forgets clients that have been silent, to make room for others.
    pub fn tidy(&mut self, counts: &mut Counts, now_ns: u64) {
        self.ticks += 1;
        if self.ticks < TIDY_TICKS {
            return;
        }
        self.ticks = 0;
        for (key, seen) in counts.clients() {
            if now_ns.saturating_sub(seen.last_ns) > FORGOTTEN_AFTER_NS {
                counts.forget_client(&key);
                self.clients.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(listener: u64) -> CountKey {
        CountKey {
            listener,
            netns: 1,
            moved: 3,
            flags: 0,
            reason: 0,
            hook: 1,
            sock_state: 10,
            reserved: 0,
        }
    }

    fn counts(sampled: u64) -> HashMap<CountKey, CountValue> {
        let value = CountValue {
            events: 100,
            shed: 0,
            sampled,
        };
        HashMap::from([(key(1), value)])
    }

    fn client(last: u8, sampled: u64) -> (ClientKey, ClientSeen) {
        let mut addr = [0; 16];
        addr[0] = last;
        let key = ClientKey {
            count: key(1),
            addr,
        };
        let seen = ClientSeen {
            last_ns: 0,
            sampled,
        };
        (key, seen)
    }

    fn figures(news: &[News]) -> Vec<(u64, u64, bool)> {
        let figures = news.iter().map(|n| (n.count, n.clients, n.clients_exact));
        figures.collect()
    }

    #[test]
    fn each_is_told_once_with_its_clients() {
        let mut left_out = LeftOut::since(&counts(10));
        let first = left_out.news(&counts(15), 0, || {
            vec![client(1, 2), client(2, 3), client(3, 0)]
        });
        assert_eq!(figures(&first), [(5, 2, true)]);
        assert!(left_out.news(&counts(15), 0, Vec::new).is_empty());
        let second = left_out.news(&counts(19), 0, || vec![client(1, 2), client(2, 7)]);
        assert_eq!(figures(&second), [(4, 1, true)]);
    }

    #[test]
    fn clients_that_found_no_room_make_it_a_minimum() {
        let mut left_out = LeftOut::since(&counts(0));
        let news = left_out.news(&counts(5), 3, || vec![client(1, 2)]);
        assert_eq!(figures(&news), [(5, 1, false)]);
    }
}
