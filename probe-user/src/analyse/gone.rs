//! What lines say of listeners that went, and of clients that came while there was none: lines come in; who died, and
//! whether somebody listened there at another time, goes out.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use super::looks::{Looks, Queue};
use crate::model::{
    event::Task,
    kind::Kind,
    observation::Observation,
    signals::{Death, Ending},
    socket::is_bound_for,
};

/// Listeners that went, and addresses without one, that are remembered.
const AT_MOST: usize = 64;

/// What was heard of them.
#[derive(Clone, Default)]
pub(crate) struct Gone {
    /// By namespace, and when it was closed.
    closed: BTreeMap<(u32, u64), (SocketAddr, Task)>,
    /// Where clients came, and no listener is known to have been closed.
    empty: BTreeSet<(u32, SocketAddr)>,
    has_more: bool,
}

impl Gone {
    pub(crate) fn event(&mut self, seen: &Observation) {
        let event = &seen.event;
        if let (Kind::ListenerClosed, Some(at), Some(by)) =
            (event.kind, event.listener, event.closed_by())
        {
            self.close((event.netns, event.mono_ns), at.addr, by);
        }
        if let Some(closed) = &seen.refusal.closed
            && let Some(by) = &closed.by
        {
            self.close((closed.netns, closed.mono_ns), closed.addr, by);
        }
        let cause = seen.cause.as_ref().map(|cause| &*cause.id);
        let was_empty = matches!(cause, Some("no-listener" | "listener-in-other-namespace"));
        if let (Kind::Refused, true, Some(local)) = (event.kind, was_empty, event.local) {
            self.find_empty((event.netns, local));
        }
    }

    fn close(&mut self, when: (u32, u64), addr: SocketAddr, by: &Task) {
        if self.closed.len() < AT_MOST || self.closed.contains_key(&when) {
            self.closed.insert(when, (addr, by.clone()));
        }
    }

    /// Adds what was heard of another place, which turned out to be the same.
    pub(crate) fn join(&mut self, other: Self) {
        for (when, (addr, by)) in &other.closed {
            self.close(*when, *addr, by);
        }
        self.has_more |= other.has_more;
        for place in other.empty {
            self.find_empty(place);
        }
    }

    fn find_empty(&mut self, place: (u32, SocketAddr)) {
        if self.empty.len() < AT_MOST || self.empty.contains(&place) {
            self.empty.insert(place);
        } else {
            self.has_more = true;
        }
    }

    /// Whoever closed a listener.
    pub(crate) fn closed_by(&self) -> Vec<String> {
        let mut by: Vec<String> = Vec::new();
        for (_, task) in self.closed.values() {
            let who = name(task);
            if !by.contains(&who) {
                by.push(who);
            }
        }
        by
    }

    /// Whoever closed a listener by ending, the first death first.
    pub(crate) fn deaths(&self, looks: &Looks) -> Vec<Death> {
        let closed = self.closed.iter();
        closed
            .filter_map(|((netns, at_ns), (addr, task))| {
                let next = next(looks, *netns, *addr, *at_ns);
                let mut others = queues_at(looks, *netns, *addr);
                Some(Death {
                    outlived: others
                        .any(|one| one.first_ns <= *at_ns && one.last.taken_mono_ns > *at_ns),
                    who: name(task),
                    ending: ending(task)?,
                    back: next.map(|queue| Duration::from_nanos(queue.first_ns - at_ns)),
                    by: next.and_then(|queue| queue.holders_seen.eldest()),
                    stays: next.is_some_and(|queue| !self.is_closed(queue)),
                })
            })
            .collect()
    }

    /// Whether each listener that was found there was closed after it was found last, and none came after another: nobody listens
    /// there again. One that comes and goes may be away when the watch ends.
    pub(crate) fn is_final(&self, looks: &Looks) -> bool {
        let mut closed = self.closed.iter();
        let came_again =
            closed.any(|((netns, at_ns), (addr, _))| next(looks, *netns, *addr, *at_ns).is_some());
        !came_again
            && !looks.queues.is_empty()
            && looks.queues.values().all(|queue| self.is_closed(queue))
    }

    /// Whether a listener of its address was closed after it was found last.
    fn is_closed(&self, queue: &Queue) -> bool {
        let mut closed = self.closed.iter();
        closed.any(|((netns, at_ns), (addr, _))| {
            *netns == queue.netns && *addr == queue.last.addr && *at_ns >= queue.last.taken_mono_ns
        })
    }

    /// Whether somebody listened, before or after, at each address where a client found nobody.
    pub(crate) fn is_gap(&self, looks: &Looks) -> bool {
        let had_one = |(netns, local): &(u32, SocketAddr)| {
            let queues = looks.queues.values();
            let seen = queues.filter(|queue| queue.netns == *netns);
            let mut seen = seen.map(|queue| queue.last.takes(*local));
            let closed = self.closed.iter();
            let mut closed = closed.filter(|((known, _), _)| known == netns);
            seen.any(|takes| takes) || closed.any(|(_, (addr, _))| is_bound_for(*addr, *local))
        };
        !self.has_more && !self.empty.is_empty() && self.empty.iter().all(had_one)
    }
}

fn name(task: &Task) -> String {
    format!("{}[{}]", task.comm, task.pid)
}

fn ending(task: &Task) -> Option<Ending> {
    let of_signal = task.signal.map(Ending::Signal);
    of_signal.or(task.exit_status.map(Ending::Status))
}

/// The first one that was seen to listen there after `at_ns`.
fn next(looks: &Looks, netns: u32, addr: SocketAddr, at_ns: u64) -> Option<&Queue> {
    let again = queues_at(looks, netns, addr).filter(|queue| queue.first_ns > at_ns);
    again.min_by_key(|queue| queue.first_ns)
}

fn queues_at(looks: &Looks, netns: u32, addr: SocketAddr) -> impl Iterator<Item = &Queue> {
    let queues = looks.queues.values();
    queues.filter(move |queue| queue.netns == netns && queue.last.addr == addr)
}
