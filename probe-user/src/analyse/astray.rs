//! Connection attempts that found no listener: lines come in, and whose they were and where they came go out. Does no I/O.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use crate::model::{
    Line, ListenerStatsRow,
    astray::Astray,
    incident::Place,
    kind::{Kind, Stage},
    observation::Observation,
    socket::is_bound_for,
};

/// Places that are remembered, of each sort.
const PLACES_AT_MOST: usize = 4096;

/// Client addresses of one place that are told apart.
const CLIENTS_AT_MOST: usize = 64;

/// Listeners of the same port that are named, of one place.
const ELSEWHERE_AT_MOST: usize = 8;

/// What lines tell of such attempts.
#[derive(Default)]
pub(crate) struct Strays {
    places: BTreeMap<Place, Came>,
    /// When something was first told to have connected there.
    served: HashMap<Place, u64>,
    is_part: bool,
}

/// Who came to one place.
#[derive(Default)]
struct Came {
    last_ns: u64,
    /// A listener was closed there a moment before.
    is_after_close: bool,
    elsewhere: BTreeSet<String>,
    /// Of clients that are of this host in any case.
    own: u64,
    /// Of others, by address.
    by_client: BTreeMap<IpAddr, u64>,
}

impl Strays {
    /// To be told of every line.
    pub(crate) fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        match line {
            Line::Event(seen) => self.event(seen),
            Line::Sampled(sampled) => self.is_part |= sampled.kind == Kind::Refused,
            Line::Loss(_) => self.is_part = true,
            Line::Stats(row) => {
                let Some(addr) = row.addr.filter(|_| row.established > 0) else {
                    return;
                };
                let netns = row.netns;
                if self.served.len() < PLACES_AT_MOST {
                    let at = self.served.entry(Place { netns, addr });
                    at.or_insert(mono_ns);
                }
            }
            _ => {}
        }
    }

    fn event(&mut self, seen: &Observation) {
        let event = &seen.event;
        if (event.kind, event.stage) != (Kind::Refused, Some(Stage::Syn)) {
            return;
        }
        let (Some(client), Some(local)) = (event.client, event.local) else {
            self.is_part = true;
            return;
        };
        let place = Place {
            netns: event.netns,
            addr: local,
        };
        if self.places.len() >= PLACES_AT_MOST && !self.places.contains_key(&place) {
            self.is_part = true;
            return;
        }
        let came = self.places.entry(place).or_default();
        came.last_ns = came.last_ns.max(event.mono_ns);
        came.is_after_close |= seen.refusal.closed.is_some();
        for listener in &seen.refusal.elsewhere {
            if came.elsewhere.len() < ELSEWHERE_AT_MOST {
                came.elsewhere.insert(listener.seen_from(event.netns));
            }
        }
        let (from, to) = (client.ip().to_canonical(), local.ip().to_canonical());
        if from.is_loopback() || from == to {
            came.own += 1;
        } else if came.by_client.len() < CLIENTS_AT_MOST || came.by_client.contains_key(&from) {
            *came.by_client.entry(from).or_default() += 1;
        } else {
            self.is_part = true;
        }
    }

    /// Client addresses of which it is not known whether they are of this host.
    pub(crate) fn clients(&self) -> BTreeSet<IpAddr> {
        let places = self.places.values();
        places
            .flat_map(|came| came.by_client.keys().copied())
            .collect()
    }

    /// What it comes to, whosever they were.
    pub(crate) fn of_anybody(&self, rows: &[ListenerStatsRow]) -> Astray {
        let all: Vec<IpAddr> = self.clients().into_iter().collect();
        self.astray(&all, rows)
    }

    /// What it comes to, where these addresses are of this host as well, and these listeners were told of at the end.
    pub(crate) fn astray(&self, own: &[IpAddr], rows: &[ListenerStatsRow]) -> Astray {
        let mut astray = Astray {
            is_part: self.is_part,
            ..Astray::default()
        };
        for (place, came) in &self.places {
            let of_host = came.by_client.iter().filter(|(ip, _)| own.contains(ip));
            let n = came.own + of_host.map(|(_, n)| n).sum::<u64>();
            astray.others += came.own + came.by_client.values().sum::<u64>() - n;
            if n == 0 {
            } else if self.is_early(*place, came, rows) {
                astray.early += n;
            } else {
                astray.own += n;
                astray.places.insert(*place);
                astray.elsewhere.extend(came.elsewhere.iter().cloned());
            }
        }
        astray
    }

    /// Whether somebody was connected to there later, and nobody before.
    fn is_early(&self, place: Place, came: &Came, rows: &[ListenerStatsRow]) -> bool {
        let takes = |netns, addr| netns == place.netns && is_bound_for(addr, place.addr);
        let served = self.served.iter();
        let served = served.filter(|(at, _)| takes(at.netns, at.addr));
        let first = served.map(|(_, when)| *when).min();
        // What has connected in the end has no line of its own.
        let mut rows = rows.iter().filter(|row| row.established > 0);
        let is_last = || rows.any(|row| row.addr.is_some_and(|addr| takes(row.netns, addr)));
        !came.is_after_close && first.map_or_else(is_last, |first| came.last_ns <= first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        event::Event,
        refusal::{Closed, Refusal},
    };

    fn refused(mono_ns: u64, client: &str, local: &str) -> Observation {
        Observation {
            event: Event {
                mono_ns,
                client: client.parse().ok(),
                local: local.parse().ok(),
                ..Event::sample()
            },
            ..Observation::sample()
        }
    }

    fn row(addr: &str) -> ListenerStatsRow {
        ListenerStatsRow {
            netns: 1,
            addr: addr.parse().ok(),
            established: 1,
            ..ListenerStatsRow::default()
        }
    }

    fn served(mono_ns: u64, addr: &str, strays: &mut Strays) {
        strays.line(mono_ns, &Line::Stats(&row(addr)));
    }

    fn heard(lines: &[(u64, &str, &str)]) -> Strays {
        let mut strays = Strays::default();
        for (mono_ns, client, local) in lines {
            strays.line(*mono_ns, &Line::Event(&refused(*mono_ns, client, local)));
        }
        strays
    }

    #[test]
    fn clients_of_other_hosts_are_not_the_command() {
        let strays = heard(&[
            (1, "[::1]:4", "[::1]:80"),
            (2, "10.0.0.1:4", "10.0.0.1:80"),
            (3, "10.0.0.2:4", "10.0.0.1:80"),
            (4, "203.0.113.9:4", "10.0.0.1:81"),
        ]);
        let asked: Vec<String> = strays.clients().iter().map(ToString::to_string).collect();
        assert_eq!(asked, ["10.0.0.2", "203.0.113.9"]);
        let astray = strays.astray(&["10.0.0.2".parse().expect("an address")], &[]);
        assert_eq!((astray.own, astray.others, astray.early), (3, 1, 0));
        assert_eq!(astray.places.len(), 2);
        assert_eq!(strays.astray(&[], &[]).own, 2);
    }

    #[test]
    fn who_waits_until_somebody_listens_has_found_it() {
        let at = "127.0.0.1:80";
        let lines = [(1, "127.0.0.1:4", at), (2, "127.0.0.1:5", at)];
        let mut strays = heard(&lines);
        let at_the_end = strays.astray(&[], &[row(at)]);
        assert_eq!((at_the_end.own, at_the_end.early), (0, 2));
        served(9, "0.0.0.0:81", &mut strays);
        assert_eq!(strays.astray(&[], &[]).own, 2, "of another port");
        served(9, "0.0.0.0:80", &mut strays);
        let astray = strays.astray(&[], &[]);
        assert_eq!((astray.own, astray.early), (0, 2));
        assert_eq!(
            astray.not_judged(),
            ["2 refused before anybody listened there"]
        );
        let mut closed = heard(&[]);
        closed.line(
            1,
            &Line::Event(&Observation {
                refusal: Refusal::closed(Closed {
                    mono_ns: 0,
                    netns: 1,
                    addr: at.parse().expect("an address"),
                    cookie: 0,
                    by: None,
                    owner: [].into(),
                }),
                ..refused(1, "127.0.0.1:4", at)
            }),
        );
        assert_eq!(closed.astray(&[], &[row(at)]).own, 1, "it was closed");
        // One that was there before, and is gone.
        strays.line(10, &Line::Event(&refused(10, "127.0.0.1:6", at)));
        let astray = strays.astray(&[], &[]);
        assert_eq!((astray.own, astray.early), (3, 0));
        let says = "3 attempts to connect found no listener";
        assert_eq!(astray.in_words().as_deref(), Some(says));
    }
}
