//! When each listener refused, whom, and how full it was: the lines of a watch
//! come in, the moments of each listener go out. Reads no clock.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::{IpAddr, SocketAddr},
};

use crate::model::{Line, ListenerTally, Moments, Tick, event::Event};

const SECOND_NS: u64 = 1_000_000_000;

/// Client addresses that are remembered of one listener at most.
const CLIENTS_AT_MOST: usize = 65_536;

/// Seconds that are remembered beside the busiest one. Lines of several CPUs come a little out of their order.
const SECONDS_AT_MOST: usize = 64;

/// Namespace and cookie, or address where it has none.
type Name = (u32, u64, Option<SocketAddr>);

/// What the lines have told so far.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Where seconds are counted from: the first line.
    began_ns: Option<u64>,
    listeners: HashMap<Name, Told>,
    /// Some were left out of the lines, but not the first of each client.
    sampled: bool,
    /// Not every client of what was left out of the lines is known.
    clients_missing: bool,
    candidates: BTreeSet<String>,
}

#[derive(Debug)]
struct Told {
    lines: u64,
    first_ns: u64,
    last_ns: u64,
    clients: HashSet<IpAddr>,
    clients_missing: bool,
    seconds: BTreeMap<u64, u64>,
    accept_queue: (u32, u32),
    syn_queue_len: u32,
}

impl Ledger {
    /// To be told of every line.
    pub fn line(&mut self, line: &Line<'_>) {
        match line {
            Line::Event(seen) if seen.event.kind.is_refusal() => self.refusal(&seen.event),
            Line::Sampled(sampled) => {
                self.sampled = true;
                self.clients_missing |= !sampled.clients_exact;
            }
            Line::Loss(_) => self.clients_missing = true,
            Line::Tick(tick) if tick.kind.is_refusal() => self.tick(tick),
            _ => {}
        }
    }

    fn refusal(&mut self, event: &Event) {
        let began_ns = *self.began_ns.get_or_insert(event.mono_ns);
        let Some(listener) = event.listener else {
            return;
        };
        let addr = (listener.cookie == 0).then_some(listener.addr);
        let name = (event.netns, listener.cookie, addr);
        let told = self.listeners.entry(name).or_insert_with(|| Told {
            lines: 0,
            first_ns: event.mono_ns,
            last_ns: event.mono_ns,
            clients: HashSet::new(),
            clients_missing: false,
            seconds: BTreeMap::new(),
            accept_queue: (0, 0),
            syn_queue_len: 0,
        });
        told.lines += 1;
        told.first_ns = told.first_ns.min(event.mono_ns);
        told.last_ns = told.last_ns.max(event.mono_ns);
        match event.client {
            Some(client) if told.clients.len() < CLIENTS_AT_MOST => {
                told.clients.insert(client.ip().to_canonical());
            }
            Some(client) => {
                told.clients_missing |= !told.clients.contains(&client.ip().to_canonical());
            }
            None => told.clients_missing = true,
        }
        told.accept_queue = told
            .accept_queue
            .max((listener.accept_queue_len, listener.accept_queue_limit));
        told.syn_queue_len = told.syn_queue_len.max(listener.syn_queue_len);
        // What came before the first line belongs to its second: lines of one moment are not in order.
        let second = event.mono_ns.saturating_sub(began_ns) / SECOND_NS;
        *told.seconds.entry(second).or_default() += 1;
        if told.seconds.len() > SECONDS_AT_MOST {
            let (busiest, n) = busiest(&told.seconds);
            told.seconds
                .retain(|other, _| other.saturating_add(2) > second);
            told.seconds.insert(busiest, n);
        }
    }

    fn tick(&mut self, tick: &Tick) {
        let addresses = tick.candidates.iter().map(|one| one.snapshot.addr);
        self.candidates
            .extend(addresses.map(|addr| format!("{addr} in netns {}", tick.netns)));
    }

    /// What the lines tell of a listener's refusals; `None` where none did.
    pub fn moments(&self, tally: &ListenerTally) -> Option<Moments> {
        let is_it = |(netns, cookie, addr): &Name| {
            let same = match cookie {
                0 => addr.is_some() && *addr == tally.addr,
                _ => *cookie == tally.cookie,
            };
            same && *netns == tally.netns
        };
        let mut named = self.listeners.iter().filter(|(name, _)| is_it(name));
        let (_, told) = named.next()?;
        // It had no cookie at first: what was told of it before is under another name.
        let is_whole = named.next().is_none();
        let (second, n) = busiest(&told.seconds);
        let exact = told.lines == tally.refusals();
        let all_clients = exact || is_whole && self.sampled && !self.clients_missing;
        Some(Moments {
            first_ns: told.first_ns,
            last_ns: told.last_ns,
            busiest: (self.began_ns.unwrap_or(0) + second * SECOND_NS, n),
            exact,
            clients: told.clients.len() as u64,
            clients_exact: all_clients && !told.clients_missing,
            accept_queue: told.accept_queue,
            syn_queue_len: told.syn_queue_len,
        })
    }

    /// On the counters tier: who may have refused.
    pub fn candidates(self) -> Vec<String> {
        self.candidates.into_iter().collect()
    }
}

/// The first of those with most.
fn busiest(seconds: &BTreeMap<u64, u64>) -> (u64, u64) {
    let mut most = (0, 0);
    for (second, n) in seconds {
        if *n > most.1 {
            most = (*second, *n);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        Causes, Sampled,
        event::ListenerAt,
        kind::{Kind, Stage},
        observation::Observation,
    };

    const LISTENER: ListenerAt = ListenerAt {
        cookie: 5,
        addr: SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 80),
        accept_queue_len: 3,
        accept_queue_limit: 2,
        syn_queue_len: 0,
        syncookies: 1,
        max_syn_backlog: 128,
    };

    fn overflow(mono_ns: u64, client: &str) -> Observation {
        Observation {
            event: Event {
                mono_ns,
                kind: Kind::Overflow,
                client: client.parse().ok(),
                local: Some(LISTENER.addr),
                netns: 7,
                listener: Some(LISTENER),
                cookie: 5,
                ..Event::sample()
            },
            ..Observation::sample()
        }
    }

    fn tally(refusals: u64) -> ListenerTally {
        ListenerTally {
            cookie: 5,
            netns: 7,
            addr: Some(LISTENER.addr),
            owner: Arc::from([]),
            cgroup: None,
            counts: [((Kind::Overflow, Some(Stage::Syn)), refusals)].into(),
            causes: Causes::new(),
        }
    }

    fn ledger(lines: &[(u64, &str)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (mono_ns, client) in lines {
            ledger.line(&Line::Event(&overflow(*mono_ns, client)));
        }
        ledger
    }

    #[test]
    fn the_busiest_second_counts_from_the_first_line() {
        let ledger = ledger(&[
            (500_000_000, "10.0.0.1:1"),
            (1_600_000_000, "10.0.0.1:2"),
            (1_700_000_000, "[::ffff:10.0.0.1]:3"),
            (3_900_000_000, "10.0.0.2:1"),
        ]);
        let moments = ledger.moments(&tally(4)).expect("moments");
        assert_eq!(
            (moments.first_ns, moments.last_ns),
            (500_000_000, 3_900_000_000)
        );
        assert_eq!(moments.busiest, (1_500_000_000, 2));
        assert_eq!(moments.clients, 2, "ports are no clients");
        assert_eq!(moments.accept_queue, (3, 2));
        assert!(moments.exact && moments.clients_exact);
    }

    #[test]
    fn what_had_no_line_makes_it_a_minimum() {
        let mut ledger = ledger(&[(1, "10.0.0.1:1"), (2, "10.0.0.2:1")]);
        let moments = ledger.moments(&tally(9)).expect("moments");
        assert!(!moments.exact && !moments.clients_exact, "nobody knows why");
        let mut sampled = Sampled {
            netns_name: None,
            netns: 7,
            listener: Some(LISTENER.addr),
            cookie: 5,
            kind: Kind::Overflow,
            stage: Some(Stage::Syn),
            cause: None,
            count: 7,
            clients: 2,
            clients_exact: true,
        };
        ledger.line(&Line::Sampled(&sampled));
        let moments = ledger.moments(&tally(9)).expect("moments");
        assert!(
            !moments.exact && moments.clients_exact,
            "each client had a line"
        );
        sampled.clients_exact = false;
        ledger.line(&Line::Sampled(&sampled));
        let moments = ledger.moments(&tally(9)).expect("moments");
        assert!(!moments.clients_exact);
    }

    #[test]
    fn seconds_are_forgotten_and_the_busiest_is_not() {
        let mut lines = vec![(0, "10.0.0.1:1"), (1, "10.0.0.1:1")];
        lines.extend((1..500).map(|second| (second * SECOND_NS, "10.0.0.1:1")));
        let ledger = ledger(&lines);
        let moments = ledger.moments(&tally(501)).expect("moments");
        assert_eq!(moments.busiest, (0, 2));
        let told = ledger.listeners.values().next().expect("one");
        assert!(told.seconds.len() <= SECONDS_AT_MOST);
    }

    #[test]
    fn nobody_else_s_moments() {
        let ledger = ledger(&[(1, "10.0.0.1:1")]);
        let other = ListenerTally {
            cookie: 6,
            ..tally(1)
        };
        assert_eq!(ledger.moments(&other), None);
    }
}
