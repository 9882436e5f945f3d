//! What was left out of the detail on purpose: counts come in, one line for
//! each that has grown goes out, with how many clients it stands for.

use std::collections::HashMap;

use probe_common::{CLIENT_FORGOTTEN_NS, CLIENTS_AT_MOST, CountKey, CountValue, Health};

use crate::model::{
    counted::add_counts,
    gone::{Gone, fold},
};

/// Clients are looked through when there are so many: three quarters of the room.
const MANY_CLIENTS: u64 = CLIENTS_AT_MOST as u64 / 4 * 3;

/// How many of the records of one count were left out lately.
#[derive(Debug, PartialEq, Eq)]
pub struct News {
    /// What was left out.
    pub key: CountKey,
    /// How often.
    pub count: u64,
    /// From so many client addresses, at least.
    pub clients: u64,
    /// Whether there was room for every client.
    pub clients_exact: bool,
}

/// What the kernel side is to do when a period begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Period {
    /// Counted up with each period.
    pub number: u64,
    /// Clients that were last seen before are to be forgotten.
    pub forget_before_ns: Option<u64>,
}

/// What was told.
#[derive(Debug, Default)]
pub struct LeftOut {
    told: HashMap<CountKey, CountValue>,
    /// Records left out, and clients that had found no room, when this was last told.
    sampled: u64,
    clients_full: u64,
    period: u64,
    /// Clients that were forgotten, and when that was last tried.
    forgotten: u64,
    looked_ns: u64,
}

impl LeftOut {
    /// What was left out before the watch began does not count.
    pub fn since(base: &HashMap<CountKey, CountValue>) -> Self {
        Self {
            told: base.clone(),
            ..Self::default()
        }
    }

    /// What was counted of these is counted together.
    pub fn forget(&mut self, gone: &Gone) {
        fold(&mut self.told, |key| gone.count(key), add_counts);
    }

    /// Whether anything may have been left out since this was last asked: maps are only read then.
    pub fn is_news(&mut self, health: &Health) -> bool {
        let is_news = health.sampled > self.sampled;
        self.sampled = self.sampled.max(health.sampled);
        is_news
    }

    /// What was left out since this was last asked.
    pub fn news(&mut self, now: &HashMap<CountKey, CountValue>, health: &Health) -> Vec<News> {
        let clients_exact = health.clients_full <= self.clients_full;
        self.clients_full = self.clients_full.max(health.clients_full);
        let mut news = Vec::new();
        for (key, value) in now {
            if value.sampled == 0 {
                continue;
            }
            let told = self.told.entry(*key).or_default();
            if value.sampled > told.sampled {
                news.push(News {
                    key: *key,
                    count: value.sampled - told.sampled,
                    clients: value.sampled_clients.saturating_sub(told.sampled_clients),
                    clients_exact,
                });
                *told = *value;
            }
        }
        news
    }

    /// From here on each client is counted anew, and the silent ones are forgotten when there are many.
    pub fn begin_period(&mut self, health: &Health, now_ns: u64) -> Period {
        self.period += 1;
        let many = health.clients_new.saturating_sub(self.forgotten) > MANY_CLIENTS;
        let forgets = many && now_ns.saturating_sub(self.looked_ns) > CLIENT_FORGOTTEN_NS;
        if forgets {
            self.looked_ns = now_ns;
        }
        Period {
            number: self.period,
            forget_before_ns: forgets.then(|| now_ns.saturating_sub(CLIENT_FORGOTTEN_NS)),
        }
    }

    /// So many clients were forgotten.
    pub const fn forgot(&mut self, clients: u64) {
        self.forgotten += clients;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(sampled: u64, sampled_clients: u64) -> HashMap<CountKey, CountValue> {
        let key = CountKey {
            listener: 1,
            netns: 1,
            moved: 3,
            flags: 0,
            reason: 0,
            hook: 1,
            sock_state: 10,
            generation: 0,
        };
        let value = CountValue {
            events: 100,
            shed: 0,
            sampled,
            sampled_clients,
        };
        HashMap::from([(key, value)])
    }

    fn figures(news: &[News]) -> Vec<(u64, u64, bool)> {
        let figures = news.iter().map(|n| (n.count, n.clients, n.clients_exact));
        figures.collect()
    }

    #[test]
    fn each_is_told_once_with_its_clients() {
        let health = Health::default();
        let mut left_out = LeftOut::since(&counts(10, 3));
        let first = left_out.news(&counts(15, 5), &health);
        assert_eq!(figures(&first), [(5, 2, true)]);
        assert!(left_out.news(&counts(15, 5), &health).is_empty());
        let second = left_out.news(&counts(19, 6), &health);
        assert_eq!(figures(&second), [(4, 1, true)]);
    }

    #[test]
    fn clients_that_found_no_room_make_it_a_minimum() {
        let mut left_out = LeftOut::since(&counts(0, 0));
        let health = Health {
            sampled: 5,
            clients_full: 3,
            ..Health::default()
        };
        assert!(left_out.is_news(&health));
        assert!(!left_out.is_news(&health));
        let news = left_out.news(&counts(5, 1), &health);
        assert_eq!(figures(&news), [(5, 1, false)]);
    }
}
