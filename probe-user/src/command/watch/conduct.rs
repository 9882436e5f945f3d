//! How another command has a watch conducted: what it is told of, and what else ends it.

use std::{future::Future, pin::Pin};

use tokio::signal::unix::SignalKind;

use crate::{
    model::{Hears, Line, Start},
    observe::Looks,
};

/// Everything but the arguments.
pub struct Conduct<'a> {
    /// Called once everything is attached and the readiness line is on its way.
    pub ready: Box<dyn FnOnce(&Start) + 'a>,
    /// Called with every line and its time, in their order, before it is written.
    pub heed: Hears<'a>,
    /// Looks beside the events, that are lines too.
    pub looks: Option<Looks>,
    /// Whether lines are written at all.
    pub aloud: bool,
    /// Ends the watch, as the time that was asked for does.
    pub until: Pin<Box<dyn Future<Output = ()> + 'a>>,
    /// Whether SIGINT, SIGTERM and SIGHUP end it too. If not, only one that comes before it is ready does, and
    /// `ready` is not called then.
    pub ends_by_signal: bool,
    /// Called with each of these signals.
    pub signalled: Box<dyn FnMut(SignalKind) + 'a>,
}

impl<'a> Conduct<'a> {
    /// A watch that writes its lines until a signal or the end of its time.
    pub fn aloud(ready: impl FnOnce(&Start) + 'a) -> Self {
        Self {
            ready: Box::new(ready),
            heed: Box::new(|_, _| {}),
            looks: None,
            aloud: true,
            until: Box::pin(std::future::pending()),
            ends_by_signal: true,
            signalled: Box::new(|_| {}),
        }
    }

    /// One that writes nothing, and whose lines another command makes something of.
    pub fn silent(heed: impl FnMut(u64, &Line<'_>) + 'a) -> Self {
        Self {
            heed: Box::new(heed),
            aloud: false,
            ..Self::aloud(|_| {})
        }
    }
}
