//! Where a line belongs: to a listener, or to an address.

use std::net::SocketAddr;

use crate::model::{incident::Place, kind::Kind, observation::Observation};

/// Where something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub place: Place,
    pub whose: Whose,
}

/// Who decided there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// A listener that is bound to this address.
    Listener,
    /// Nobody yet, on the way to this address. A listener that takes what is sent to it is the one that is meant.
    Way,
    /// Nobody: whoever is bound to this address is so on another device.
    Nobody,
}

impl Spot {
    pub(super) const fn of_listener(netns: u32, addr: SocketAddr) -> Self {
        Self {
            place: Place { netns, addr },
            whose: Whose::Listener,
        }
    }

    pub(super) fn on_the_way(netns: u32, to: SocketAddr) -> Self {
        Self {
            place: Place {
                netns,
                addr: SocketAddr::new(to.ip().to_canonical(), to.port()),
            },
            whose: Whose::Way,
        }
    }

    /// `None` where neither its listener nor its address is known.
    pub(super) fn of(seen: &Observation) -> Option<Self> {
        let event = &seen.event;
        let netns = event.netns;
        if let Some(at) = event.listener {
            return Some(Self::of_listener(netns, at.addr));
        }
        // It came a moment after that listener was closed.
        if let Some(closed) = seen.refusal.closed.as_ref().filter(|c| c.netns == netns) {
            return Some(Self::of_listener(netns, closed.addr));
        }
        // A client of this host has its own end for the local one.
        let is_clients = event.client.is_some() && event.client == event.local;
        let end = if is_clients {
            event.remote
        } else {
            event.local
        }?;
        let cause = seen.cause.as_ref().map(|cause| &*cause.id);
        let is_elsewhere = event.kind == Kind::Refused && cause == Some("listener-on-other-device");
        let on_the_way = Self::on_the_way(netns, end);
        let whose = if is_elsewhere {
            Whose::Nobody
        } else {
            Whose::Way
        };
        Some(Self {
            whose,
            ..on_the_way
        })
    }
}
