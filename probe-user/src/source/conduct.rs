//! How another command has a watch conducted: what it is told of, and what else ends it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::signal::unix::SignalKind;

use crate::{
    model::{Line, Start, Summary, census::Census, sandbox::Confine},
    observe::Looks,
    sink::Sink,
};

/// Ends a watch when what was seen is enough. It is asked each second.
pub trait Enough {
    /// Whether it may be, by what the hooks counted: rows of what the kernel counted are missing.
    fn may_end(&mut self, counted: &Summary) -> bool;
    /// Whether it is, with the kernel's counts beside it; asked only where it may be.
    fn can_end(&mut self, by_now: &Summary) -> bool;
}

/// Hands out what was counted while the watch goes on. It is called from the loop itself, so it never waits.
pub trait Service {
    /// Whether somebody asks for a census.
    fn poll_asked(&mut self, context: &mut Context<'_>) -> Poll<()>;
    /// A second is over. Whether a census is wanted for that.
    fn second(&mut self) -> bool;
    /// The census, or why there is none.
    fn take(&mut self, census: Result<Census, String>);
    /// The watch ends.
    fn ends(&mut self);
}

/// Everything but the arguments.
pub struct Conduct<'a> {
    /// Called once everything is attached and the readiness line is on its way.
    pub ready: Box<dyn FnOnce(&Start) + 'a>,
    /// Takes every line, in their order, before it is written.
    pub stage: Option<Box<dyn Sink + 'a>>,
    /// Looks beside the events, that are lines too.
    pub looks: Option<Looks>,
    /// Whether lines are printed.
    pub prints: bool,
    /// Whether this process is confined.
    pub confine: Confine,
    /// Whether incidents are told while they go on.
    pub tells_incidents: bool,
    /// Whoever hands out what was counted meanwhile; such a watch outlives its terminal.
    pub service: Option<Box<dyn Service + 'a>>,
    /// Ends the watch, as the time that was asked for does.
    pub until: Pin<Box<dyn Future<Output = ()> + 'a>>,
    /// Ends it sooner; on the counters tier nobody is asked.
    pub enough: Option<Box<dyn Enough + 'a>>,
    /// Whether SIGINT, SIGTERM and SIGHUP end it too. If not, only one that comes before it is ready does, and
    /// `ready` is not called then.
    pub ends_by_signal: bool,
    /// Called with each of these signals.
    pub signalled: Box<dyn FnMut(SignalKind) + 'a>,
}

impl<'a> Conduct<'a> {
    /// A watch that prints its lines until a signal or the end of its time.
    pub fn printed(ready: impl FnOnce(&Start) + 'a) -> Self {
        Self {
            ready: Box::new(ready),
            stage: None,
            looks: None,
            prints: true,
            confine: Confine::Yes,
            tells_incidents: true,
            service: None,
            until: Box::pin(std::future::pending()),
            enough: None,
            ends_by_signal: true,
            signalled: Box::new(|_| {}),
        }
    }

    /// One that prints nothing, and whose lines another command makes something of.
    pub fn silent(stage: impl FnMut(u64, &Line<'_>) + 'a) -> Self {
        Self {
            stage: Some(Box::new(stage)),
            prints: false,
            confine: Confine::No,
            tells_incidents: false,
            ..Self::printed(|_| {})
        }
    }
}
