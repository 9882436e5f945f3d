//! Which events are shown. What is left out is still counted and reconciled.

mod any_of;
mod listener;
mod only;
mod value;
mod whose;

use std::net::SocketAddr;

pub use self::{listener::ListenerFilter, only::Only, value::ClientFilter, whose::Whose};
use crate::{
    loader::Wanted,
    model::{cgroup::Cgroup, event::Event, observation::Observation, owner::Owner},
};

/// What to show.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Any of these; all where it is empty.
    pub listeners: Vec<ListenerFilter>,
    /// Only this namespace, by its inode number.
    pub netns: Option<u32>,
    /// Owners, causes and clients.
    pub only: Only,
}

impl Filter {
    /// As far as the event itself can tell; [`Filter::takes_observation`] has the last word.
    pub fn takes(&self, event: &Event) -> bool {
        if !self.takes_netns(event.netns) {
            return false;
        }
        if self.listeners.is_empty() {
            return true;
        }
        // Where the listener is known, it decides: so do the counts, which know nothing else.
        if let Some(listener) = event.listener {
            return self.takes_listener(listener.addr);
        }
        let ends = [event.local, event.remote];
        self.listeners
            .iter()
            .any(|filter| ends.iter().flatten().any(|addr| filter.takes(*addr)))
    }

    /// Which listeners are wanted, as the kernel side is told.
    pub fn wanted(&self) -> Vec<Wanted> {
        self.listeners
            .iter()
            .flat_map(ListenerFilter::wanted)
            .collect()
    }

    /// Whether this namespace is the one that is wanted, or all are.
    pub fn takes_netns(&self, netns: u32) -> bool {
        self.netns.is_none_or(|only| only == netns)
    }

    /// Whether a listener bound to `addr` is among those wanted, or all are.
    pub fn takes_listener(&self, addr: SocketAddr) -> bool {
        self.listeners.is_empty() || self.listeners.iter().any(|f| f.takes_listener(addr))
    }

    /// With all that is known about it.
    pub fn takes_observation(&self, seen: &Observation) -> bool {
        self.only.takes(seen)
    }

    /// Whether a listener bound to `addr` that is theirs is among those wanted, or all are.
    pub fn takes_row(&self, addr: SocketAddr, owner: &[Owner], cgroup: Option<&Cgroup>) -> bool {
        self.takes_listener(addr) && self.only.takes_whose(owner, cgroup)
    }

    /// Whether only some listeners are wanted.
    pub const fn picks_listeners(&self) -> bool {
        !self.listeners.is_empty() || self.only.asks_whose()
    }

    /// Whether only some events of a namespace are wanted.
    pub const fn picks_events(&self) -> bool {
        !self.listeners.is_empty() || !self.only.is_empty()
    }

    /// What is asked for, in words, as the readiness line has it.
    pub fn in_words(&self) -> Vec<String> {
        let listeners = self.listeners.iter().map(|l| format!("listener {l}"));
        listeners
            .chain(self.only.in_words())
            .chain(self.netns.map(|netns| format!("namespace {netns}")))
            .collect()
    }
}
