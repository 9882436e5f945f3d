//! Episodes of pressure that no packet has ended: what the kernel side still
//! holds for near its limit comes in, and the ends of those that `sock_diag`
//! shows below goes out as events.

use std::collections::HashMap;

use probe_common::{Episode, EpisodeKey, flag, hook, share};

use crate::{
    host::{Host, clock::mono_ns, diag::DiagError},
    loader::{Probe, ReadError},
    model::{
        event::{self, Event, ListenerAt, What},
        kind::Kind,
        socket::ListenerSnapshot,
    },
};

/// The accept queues that are low by now; who ends an episode tells of it, here or in the kernel.
pub(crate) fn ended(
    probe: &mut Probe,
    host: &mut Host,
    percent: u8,
) -> Result<Vec<Event>, ReadError> {
    let open = probe.stats.episodes()?;
    let of_accept_queues = open.into_iter().filter(|(key, _)| key.queue == 0);
    let mut dumps: HashMap<u32, Result<Vec<ListenerSnapshot>, DiagError>> = HashMap::new();
    let mut events = Vec::new();
    for (key, episode) in of_accept_queues {
        let found = dumps
            .entry(key.netns)
            .or_insert_with(|| host.all_listeners(key.netns));
        // What cannot be asked for is left for the next time.
        let Ok(found) = found else { continue };
        let listener = found.iter().find(|one| one.cookie == key.listener);
        match listener {
            Some(listener) => {
                let len = listener.accept_queue_len;
                let limit = listener.accept_queue_limit;
                if share::is_low(len, limit, percent.into()) && probe.stats.end_episode(&key)? {
                    events.push(event(&key, &episode, listener));
                }
            }
            // It was closed, which is told by itself. By its address alone it is not looked for.
            None if key.listener >> 63 == 0 => drop(probe.stats.end_episode(&key)?),
            None => {}
        }
    }
    Ok(events)
}

fn event(key: &EpisodeKey, episode: &Episode, listener: &ListenerSnapshot) -> Event {
    let now = mono_ns();
    let listener = ListenerAt {
        cookie: listener.cookie,
        addr: listener.addr,
        accept_queue_len: listener.accept_queue_len,
        accept_queue_limit: listener.accept_queue_limit,
        syn_queue_len: 0,
        syncookies: 0,
        max_syn_backlog: 0,
    };
    let what = What::Eased(event::Episode {
        peak: episode.peak,
        lasted_ns: now.saturating_sub(episode.since_ns),
    });
    let mut event = Event::of_listener(now, key.netns, listener, Kind::Eased, hook::PRESSURE, what);
    event.evidence.flags = flag::EASED;
    event
}
