//! Which attempts came again: SYNs without room in the SYN queue come in, as lines tell of them; how many attempts they were
//! of, and how many of these were made more than once, goes out.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
};

use crate::model::{
    event::Event,
    kind::{Kind, Stage},
    signals,
};

/// Attempts that are remembered.
const AT_MOST: usize = 65_536;

/// Attempts by client, each with its initial sequence number, and whether its SYN came again.
#[derive(Clone, Default)]
pub(crate) struct Tries(HashMap<SocketAddr, (u32, bool)>);

impl Tries {
    pub(crate) fn event(&mut self, event: &Event) {
        let is_wanted = matches!(
            (event.kind, event.stage),
            (Kind::CookieSent, _) | (Kind::RequestDrop | Kind::ListenDrop, Some(Stage::Syn))
        );
        let (true, Some(client), Some(segment)) = (is_wanted, event.client, event.segment()) else {
            return;
        };
        let has_room = self.0.len() < AT_MOST;
        match self.0.get_mut(&client) {
            Some((isn, is_repeated)) if *isn == segment.seq => *is_repeated = true,
            // The same port, and another attempt.
            Some(known) => *known = (segment.seq, known.1),
            None if has_room => {
                self.0.insert(client, (segment.seq, false));
            }
            None => {}
        }
    }

    /// Adds those at another place, which turned out to be the same.
    pub(crate) fn join(&mut self, other: Self) {
        for (client, (isn, is_repeated)) in other.0 {
            let has_room = self.0.len() < AT_MOST;
            match self.0.get_mut(&client) {
                Some((known, was_repeated)) => *was_repeated |= is_repeated || *known == isn,
                None if has_room => {
                    self.0.insert(client, (isn, is_repeated));
                }
                None => {}
            }
        }
    }

    pub(crate) fn told(&self) -> signals::Tries {
        let repeated = self.0.values().filter(|(_, is_repeated)| *is_repeated);
        let sources: HashSet<IpAddr> = self.0.keys().map(|one| one.ip().to_canonical()).collect();
        signals::Tries {
            attempts: self.0.len(),
            repeated: repeated.count(),
            sources: sources.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{ListenerAt, Segment, What};

    #[test]
    fn the_same_syn_again_is_one_attempt() {
        let at = ListenerAt {
            cookie: 1,
            addr: ([127, 0, 0, 1], 80).into(),
            accept_queue_len: 0,
            accept_queue_limit: 0,
            syn_queue_len: 0,
            syncookies: 1,
            max_syn_backlog: 0,
        };
        let mut tries = Tries::default();
        let mut comes = |port: u16, seq: u32| {
            let what = What::Segment(Segment {
                seq,
                ..Segment::default()
            });
            let mut event = Event::of_listener(1, 1, at, Kind::CookieSent, 1, what);
            event.client = Some(([127, 0, 0, 1], port).into());
            tries.event(&event);
        };
        comes(1, 10);
        comes(1, 10);
        comes(1, 10);
        comes(2, 10);
        // Its port is used again.
        comes(3, 10);
        comes(3, 11);
        let told = tries.told();
        assert_eq!((told.attempts, told.repeated, told.sources), (3, 1, 1));
    }
}
