//! One connection attempt of our own, from the namespace of the listener.

use std::{
    io,
    net::TcpStream,
    os::fd::AsFd,
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use super::Target;
use crate::{
    host::{
        clock::mono_ns,
        netns::{self, Registry},
    },
    model::{Now, Tried},
};

/// Long enough for the second try of a SYN that was dropped.
const PATIENCE: Duration = Duration::from_millis(3500);

/// Connects once `begin` says that everything is attached; `None` when it never does.
pub fn connect(target: &Target, now: &Now, begin: Receiver<()>) -> Option<Tried> {
    begin.recv().ok()?;
    let Some(to) = target.address(now) else {
        return Some(Tried {
            mono_ns: mono_ns(),
            to: None,
            took: Duration::ZERO,
            outcome: "nobody listens there; name an address to connect to".into(),
        });
    };
    let began = Instant::now();
    let connect = move || TcpStream::connect_timeout(&to, PATIENCE).map(drop);
    let outcome = enter(now.netns, connect);
    Some(Tried {
        mono_ns: mono_ns(),
        to: Some(to),
        took: began.elapsed(),
        outcome: match outcome {
            Ok(()) => Tried::CONNECTED.into(),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Tried::NO_ANSWER.into(),
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Tried::NO_PORT.into(),
            Err(error) => error.to_string(),
        },
    })
}

fn enter<T: Send + 'static>(
    netns: u32,
    f: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if netns::current()? == netns {
        return f();
    }
    let ns = Registry::new().open(netns).map_err(io::Error::other)?;
    // What it waits for itself comes before.
    let entered = netns::inside_within(ns.as_fd(), 2 * PATIENCE, f);
    // Its time is not that of the connection.
    entered.map_err(io::Error::other)?
}
