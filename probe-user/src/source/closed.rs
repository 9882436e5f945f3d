//! Listeners and namespaces that are no more, until they are told of together. Which of them: closings come in and the
//! turns of the kernel side's maps, [`Gone`] goes out.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::{
    analyse::pressure::is_address,
    model::{
        event::Event,
        gone::{Gone, Names},
    },
};

/// So many are told of one by one, the newest.
const KEPT: usize = 1024;

/// So many namespaces that ended are.
const NAMESPACES_KEPT: usize = 256;

/// When so many have closed since the last turn, it is time for the next one.
const MANY: usize = 4096;

/// What ended.
#[derive(Debug, Default)]
pub(super) struct Closed {
    /// The oldest first: only when its counts have been taken out of the maps a listener can be forgotten with all that was
    /// counted of it.
    listeners: VecDeque<Ended>,
    /// Of those that were forgotten at the last turn, if they had a cookie: what was counted before they had it is counted
    /// under their addresses.
    addresses: Vec<Ended>,
    /// So many of these were closed before the maps changed.
    before_turn: usize,
    /// Namespaces that could not be found when the maps changed.
    missing: HashSet<u32>,
    /// How many listeners were forgotten that are known to have closed.
    pub(super) forgotten: u64,
    /// How many were of which that is not known.
    pub(super) quiet: u64,
}

/// A listener that closed.
#[derive(Clone, Copy, Debug)]
struct Ended {
    netns: u32,
    /// 0 where nobody had asked for one.
    cookie: u64,
    sock: u64,
}

/// What is known when the old maps are empty.
pub(super) struct Turned<'a> {
    /// Namespaces that are not found now.
    pub missing: &'a HashSet<u32>,
    /// Listeners whose closing may have been lost.
    pub too_many: &'a Names,
    /// To whom something came while those maps were the new ones.
    pub newest: &'a Names,
    /// Whether a listener of this namespace and name was asked for.
    pub is_wanted: &'a dyn Fn(u32, u64) -> bool,
    /// The cookie of whoever had this name last, 0 if that is not known.
    pub cookie_of: &'a dyn Fn(u64) -> u64,
    /// Whether all were asked for.
    pub takes_all: bool,
}

impl Turned<'_> {
    /// Whether nobody else is known to have had the address since.
    fn is_its(&self, ended: &Ended) -> bool {
        let last = (self.cookie_of)(ended.sock);
        !self.newest.contains(&(ended.netns, ended.sock)) && (last == 0 || last == ended.cookie)
    }
}

impl Closed {
    /// A listener is no more.
    pub(super) fn add(&mut self, event: &Event) {
        self.listeners.push_back(Ended {
            netns: event.netns,
            cookie: event.cookie,
            sock: event.sock,
        });
    }

    /// Whether so many have closed that their counts are to be taken out of the maps.
    pub(super) fn are_many(&self) -> bool {
        self.listeners.len() - self.before_turn >= MANY + KEPT
    }

    /// The maps change: who has closed by now is counted in the old ones. `missing` are namespaces that are not found.
    pub(super) fn turn_begins(&mut self, missing: HashSet<u32>) {
        self.before_turn = self.listeners.len();
        self.missing = missing;
    }

    /// The old maps are empty: who may be forgotten?
    pub(super) fn turn_ends(&mut self, turned: &Turned<'_>) -> Gone {
        let old = self.before_turn.saturating_sub(KEPT);
        self.before_turn = 0;
        let mut listeners = HashMap::new();
        let mut forget = |netns: u32, name: u64| {
            let is_wanted = (turned.is_wanted)(netns, name);
            let is_new = listeners.insert((netns, name), is_wanted).is_none();
            u64::from(is_new && is_wanted)
        };
        for ended in std::mem::take(&mut self.addresses) {
            if turned.is_its(&ended) {
                forget(ended.netns, ended.sock);
            }
        }
        for ended in self.listeners.drain(..old) {
            if ended.cookie == 0 {
                self.forgotten += forget(ended.netns, ended.sock);
            } else {
                self.forgotten += forget(ended.netns, ended.cookie);
                self.addresses.push(ended);
            }
        }
        for (netns, name) in turned.too_many.iter().copied() {
            let is_new = forget(netns, name);
            // One that has a cookie is counted under it.
            let has_another = is_address(name) && (turned.cookie_of)(name) != 0;
            self.quiet += if has_another { 0 } else { is_new };
        }
        let missing = turned.missing;
        let mut ended: Vec<u32> = self.missing.intersection(missing).copied().collect();
        self.missing = HashSet::new();
        ended.sort_unstable();
        let namespaces = ended.into_iter().skip(NAMESPACES_KEPT).collect();
        Gone {
            listeners,
            namespaces,
            takes_all: turned.takes_all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCK: u64 = 0xffff_8880_0000_0000;

    fn ended(cookie: u64) -> Ended {
        Ended {
            netns: 7,
            cookie,
            sock: SOCK + cookie,
        }
    }

    fn closed(n: u64) -> Closed {
        Closed {
            listeners: (1..=n).map(ended).collect(),
            ..Closed::default()
        }
    }

    fn ends(closed: &mut Closed, too_many: &Names) -> Gone {
        ends_with(closed, too_many, &Names::new(), &|_| 0)
    }

    fn ends_with(
        closed: &mut Closed,
        too_many: &Names,
        newest: &Names,
        cookie_of: &dyn Fn(u64) -> u64,
    ) -> Gone {
        closed.turn_ends(&Turned {
            missing: &HashSet::new(),
            too_many,
            newest,
            is_wanted: &|netns, name| netns == 7 && name % 2 == 0,
            cookie_of,
            takes_all: true,
        })
    }

    fn names(gone: &Gone) -> Vec<u64> {
        let mut names: Vec<u64> = gone.listeners.keys().map(|(_, name)| *name).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn only_who_closed_before_the_turn_is_forgotten_and_the_newest_are_kept() {
        let kept = KEPT as u64;
        let mut all = closed(kept + 10);
        assert!(
            ends(&mut all, &Names::new()).is_empty(),
            "no turn had begun"
        );
        all.turn_begins(HashSet::new());
        all.listeners.push_back(ended(99_999));
        let gone = ends(&mut all, &Names::new());
        assert_eq!(names(&gone), (1..=10).collect::<Vec<u64>>());
        assert_eq!(all.forgotten, 5, "those that were asked for");
        assert_eq!(all.listeners.len(), KEPT + 1);
    }

    #[test]
    fn what_was_counted_before_there_was_a_cookie_is_forgotten_a_turn_later() {
        let mut all = closed(KEPT as u64 + 4);
        all.turn_begins(HashSet::new());
        let gone = ends(&mut all, &Names::new());
        assert_eq!(names(&gone), [1, 2, 3, 4]);
        // One address is another's by now, and to one something has come since.
        let newest = Names::from([(7, SOCK + 2)]);
        let cookie_of = |name| match name - SOCK {
            3 => 5000,
            n => n,
        };
        let gone = ends_with(&mut all, &Names::new(), &newest, &cookie_of);
        assert_eq!(names(&gone), [SOCK + 1, SOCK + 4]);
        assert!(gone.listeners[&(7, SOCK + 4)], "it was asked for");
        assert_eq!(all.forgotten, 2, "each once");
        let gone = ends(&mut all, &Names::new());
        assert!(gone.is_empty());
    }

    #[test]
    fn those_of_another_namespace_are_not_counted() {
        let mut none = closed(0);
        let gone = ends(&mut none, &Names::from([(8, 2), (7, 4)]));
        assert_eq!(
            (gone.listeners[&(8, 2)], gone.listeners[&(7, 4)]),
            (false, true)
        );
        assert_eq!((none.forgotten, none.quiet), (0, 1));
    }

    #[test]
    fn a_namespace_is_forgotten_that_was_missing_twice() {
        let mut none = closed(0);
        let missing: HashSet<u32> = (1..=NAMESPACES_KEPT as u32 + 3).collect();
        none.turn_begins(missing.clone());
        let found_again = missing
            .iter()
            .copied()
            .filter(|netns| *netns != 1)
            .collect();
        let gone = none.turn_ends(&Turned {
            missing: &found_again,
            too_many: &Names::new(),
            newest: &Names::new(),
            is_wanted: &|_, _| true,
            cookie_of: &|_| 0,
            takes_all: true,
        });
        assert_eq!(gone.namespaces.len(), 2);
        assert!(!gone.namespaces.contains(&1));
    }
}
