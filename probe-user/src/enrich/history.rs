//! Listeners that were closed a moment ago: a refusal comes in, the listener
//! that would have taken it goes out. Does no I/O and reads no clock.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use probe_common::CLOSED_REMEMBERED_NS;

use crate::model::{event::Event, owner::Owner, refusal::Closed, socket::is_bound_for};

/// So many are remembered at most, the newest.
const CLOSED_AT_MOST: usize = 4096;

/// So many living ones are known by their owners at most.
const KNOWN_AT_MOST: usize = 65_536;

/// What is remembered.
#[derive(Debug, Default)]
pub struct History {
    /// The oldest first.
    closed: VecDeque<Closed>,
    owners: HashMap<u64, Arc<[Owner]>>,
}

impl History {
    /// A living listener and who holds it.
    pub fn meet(&mut self, cookie: u64, owner: &Arc<[Owner]>) {
        let is_news = cookie != 0 && !owner.is_empty();
        if is_news && (self.owners.len() < KNOWN_AT_MOST || self.owners.contains_key(&cookie)) {
            self.owners.insert(cookie, Arc::clone(owner));
        }
    }

    /// A listener is no more.
    pub fn close(&mut self, event: &Event) {
        let Some(listener) = event.listener else {
            return;
        };
        if self.closed.len() == CLOSED_AT_MOST {
            self.closed.pop_front();
        }
        self.closed.push_back(Closed {
            mono_ns: event.mono_ns,
            netns: event.netns,
            addr: listener.addr,
            cookie: listener.cookie,
            by: event.closed_by().cloned(),
            owner: self
                .owners
                .remove(&listener.cookie)
                .unwrap_or_else(|| Arc::from([])),
        });
    }

    /// Who held the listener of this closing.
    pub fn owner_of(&self, closing: &Event) -> Arc<[Owner]> {
        self.closed
            .iter()
            .rev()
            .find(|closed| closed.mono_ns == closing.mono_ns && closed.netns == closing.netns)
            .map_or_else(|| Arc::from([]), |closed| Arc::clone(&closed.owner))
    }

    /// The last listener that took what is sent to `local`, if it was closed less than a minute before.
    pub fn closed_at(&self, netns: u32, local: SocketAddr, mono_ns: u64) -> Option<&Closed> {
        self.closed.iter().rev().find(|closed| {
            closed.netns == netns
                && closed.mono_ns <= mono_ns
                && mono_ns - closed.mono_ns < CLOSED_REMEMBERED_NS
                && is_bound_for(closed.addr, local)
        })
    }

    /// Forgets what is too long ago.
    pub fn forget(&mut self, now_ns: u64) {
        while let Some(oldest) = self.closed.front()
            && now_ns.saturating_sub(oldest.mono_ns) > CLOSED_REMEMBERED_NS
        {
            self.closed.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        event::{ListenerAt, What},
        kind::Kind,
    };

    fn closing(mono_ns: u64, addr: &str) -> Event {
        let listener = ListenerAt {
            cookie: 7,
            addr: addr.parse().expect("an address"),
            accept_queue_len: 0,
            accept_queue_limit: 0,
            syn_queue_len: 0,
            syncookies: 0,
            max_syn_backlog: 0,
        };
        let hook = probe_common::hook::LISTENER_CLOSED;
        let what = What::Closed(None);
        Event::of_listener(mono_ns, 1, listener, Kind::ListenerClosed, hook, what)
    }

    fn check(bound: &str, netns: u32, local: &str, mono_ns: u64, found: bool) {
        let mut history = History::default();
        history.close(&closing(1_000, bound));
        let local = local.parse().expect("an address");
        let got = history.closed_at(netns, local, mono_ns).is_some();
        assert_eq!(got, found, "{bound} for {local} at {mono_ns}");
    }

    #[test]
    fn a_closed_listener_is_found_by_what_it_took() {
        check("0.0.0.0:80", 1, "10.0.0.1:80", 2_000, true);
        check("[::]:80", 1, "10.0.0.1:80", 2_000, true);
        check("[::]:80", 1, "[fd00::1]:80", 2_000, true);
        check("0.0.0.0:80", 1, "[fd00::1]:80", 2_000, false);
        check("10.0.0.2:80", 1, "10.0.0.1:80", 2_000, false);
        check("0.0.0.0:80", 1, "10.0.0.1:81", 2_000, false);
        check("0.0.0.0:80", 2, "10.0.0.1:80", 2_000, false);
    }

    #[test]
    fn one_that_was_closed_later_or_long_ago_is_not_the_cause() {
        check("0.0.0.0:80", 1, "10.0.0.1:80", 999, false);
        check(
            "0.0.0.0:80",
            1,
            "10.0.0.1:80",
            1_000 + CLOSED_REMEMBERED_NS,
            false,
        );
    }

    #[test]
    fn its_owner_is_remembered_and_given_away_once() {
        let owner: Arc<[Owner]> = Arc::from([Owner {
            pid: 5,
            comm: "nginx".into(),
            exe: None,
        }]);
        let mut history = History::default();
        history.meet(7, &owner);
        let first = closing(1_000, "0.0.0.0:80");
        history.close(&first);
        assert_eq!(history.owner_of(&first), owner);
        let second = closing(2_000, "0.0.0.0:80");
        history.close(&second);
        assert!(history.owner_of(&second).is_empty());
    }
}
