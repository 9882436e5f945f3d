//! Looks at listeners, their owners and their namespaces while a watch goes on: a thread of its own, whose looks go
//! into the stream.

mod around;
mod budget;
mod host;
mod host_news;
mod hurt;
mod listens;
mod looking;
mod own;
mod pressed;
pub mod probe;
mod survey;
mod target;
mod told;

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use self::pressed::Pressed;
pub use self::{
    around::around,
    host::host_facts,
    hurt::listening_at,
    listens::{Listens, Wanted, listening_in},
    looking::Looker,
    own::of_this_host,
    survey::Survey,
    target::Target,
    told::{Ears, Refusals},
};
use crate::{
    filter::Filter,
    host::{
        Host,
        threads::{NoThread, spawn_scoped},
    },
    model::{Observed, socket::ListenerSnapshot},
};

/// How often what listeners accepted is asked for.
pub const STATS: Duration = Duration::from_millis(100);

/// How often queues are looked at.
const PERIOD: Duration = Duration::from_millis(50);

/// While nobody is to be looked at, it is looked so seldom whether the watch goes on.
const IDLE: Duration = Duration::from_secs(1);

/// Looks that wait for the stream. When it has no time, fewer are taken.
const WAITING_AT_MOST: usize = 256;

/// Where looks come from, one after another.
pub type Looks = Receiver<Vec<Observed>>;

/// Whom to look at: called with the number of the look and the namespaces where somebody was found.
pub trait Finds: FnMut(u32, Vec<u32>, &mut Host) -> Vec<(u32, ListenerSnapshot)> {}

impl<F: FnMut(u32, Vec<u32>, &mut Host) -> Vec<(u32, ListenerSnapshot)>> Finds for F {}

/// Why nobody looked.
#[derive(Debug, Error)]
pub enum NotLooked {
    /// Nothing was watched either.
    #[error(transparent)]
    NoThread(#[from] NoThread),
    /// The thread that looks panicked.
    #[error("the thread that looks at listeners panicked")]
    Panicked,
    /// Looks came faster than they were taken.
    #[error("what was seen before the watch found no room")]
    Crowded,
}

/// Looks, on a thread of its own, for as long as the watch lasts that takes them. What was seen before comes first.
pub fn while_watching<T>(
    host: &Host,
    before: Vec<Observed>,
    mut find: impl Finds + Send,
    watch: impl FnOnce(Looks) -> T,
) -> Result<T, NotLooked> {
    let host = host.another();
    beside(before, watch, || {
        let mut looker = Looker::new(host);
        move |now| {
            looker.host.tick(now);
            let (look, places) = (looker.number(), looker.places());
            let listeners = find(look, places, &mut looker.host);
            looker.look(listeners)
        }
    })
}

/// Looks at whoever of these is pressed, or has refused somebody, on the whole host.
pub fn at_the_pressed<T>(
    host: &Host,
    filter: Filter,
    refusals: &Refusals,
    watch: impl FnOnce(Looks) -> T,
) -> Result<T, NotLooked> {
    let host = host.another();
    beside(Vec::new(), watch, || {
        let mut pressed = Pressed::new(host, filter, refusals, true);
        move |now| pressed.look(now)
    })
}

/// Looks at whoever of these has refused somebody a moment ago. While nobody has, it waits.
pub fn at_the_refusing<T>(
    host: &Host,
    filter: Filter,
    refusals: &Refusals,
    watch: impl FnOnce(Looks) -> T,
) -> Result<T, NotLooked> {
    let host = host.another();
    let watch = |looks| {
        let watched = watch(looks);
        refusals.wake();
        watched
    };
    beside(Vec::new(), watch, || {
        let mut pressed = Pressed::new(host, filter, refusals, false);
        move |mut now| {
            if pressed.is_idle() {
                refusals.wait(IDLE);
                now = Instant::now();
            }
            pressed.look(now)
        }
    })
}

/// Looks while it watches, with a looker that is made on the thread of its own.
fn beside<T, L: FnMut(Instant) -> Vec<Observed>>(
    before: Vec<Observed>,
    watch: impl FnOnce(Looks) -> T,
    looker: impl FnOnce() -> L + Send,
) -> Result<T, NotLooked> {
    let (go, stop) = mpsc::channel();
    let (to, looks) = channel(WAITING_AT_MOST);
    to.try_send(before).map_err(|_| NotLooked::Crowded)?;
    thread::scope(|scope| {
        let looking = spawn_scoped(scope, "to look at listeners", move || {
            look_on(looker(), &to, &stop);
        })?;
        let watched = watch(looks);
        drop(go);
        looking.join().map_err(|_| NotLooked::Panicked)?;
        Ok(watched)
    })
}

/// Looks until the other end of `stop` is gone, or nobody takes what was seen.
fn look_on(
    mut look: impl FnMut(Instant) -> Vec<Observed>,
    to: &Sender<Vec<Observed>>,
    stop: &mpsc::Receiver<()>,
) {
    loop {
        let seen = look(Instant::now());
        if !seen.is_empty() && to.blocking_send(seen).is_err() {
            break;
        }
        match stop.recv_timeout(PERIOD) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
}
