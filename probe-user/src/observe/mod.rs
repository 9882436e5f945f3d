//! What `why` and `run` have in common while a watch goes on: looks at
//! listeners and their owners, and what its lines say of them.

mod doing;
mod host;
pub mod looking;
pub mod queue;

use std::{
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use thiserror::Error;

pub use self::{
    host::{ask_host, sysctls},
    looking::{Finds, Looks},
};
use crate::{
    analyse::{
        facts,
        incident::{Fact, Incidents, Told},
    },
    host::{
        clock::mono_ns,
        threads::{NoThread, spawn_scoped},
    },
    model::{Line, Summary},
};

/// How often what listeners accepted is asked for.
pub const STATS: Duration = Duration::from_millis(100);

/// Told of by the watch and by the looks.
pub type Shared = Mutex<Incidents>;

pub fn incidents() -> Shared {
    Mutex::new(Incidents::new(STATS.as_nanos() as u64))
}

/// Why nobody looked.
#[derive(Debug, Error)]
pub enum NotLooked {
    /// Nothing was watched either.
    #[error(transparent)]
    NoThread(#[from] NoThread),
    #[error("the thread that looks at the listener panicked")]
    Panicked,
}

/// Looks, on a thread of its own, for as long as the watch lasts.
pub fn while_watching<T>(
    find: impl Finds + Send,
    incidents: &Shared,
    watch: impl FnOnce() -> T,
) -> Result<(T, Looks), NotLooked> {
    let (go, stop) = mpsc::channel();
    thread::scope(|scope| {
        let looker = spawn_scoped(scope, "to look at the listener", move || {
            looking::look_on(find, incidents, &stop)
        })?;
        let watched = watch();
        drop(go);
        let looks = looker.join().map_err(|_| NotLooked::Panicked)?;
        Ok((watched, looks))
    })
}

/// To be told of every line.
pub fn hear(incidents: &Shared, line: &Line<'_>) {
    if matches!(line, Line::Start(_)) {
        locked(incidents).begin(mono_ns());
    }
    take(incidents, facts::fact(line));
}

fn take(incidents: &Shared, facts: impl IntoIterator<Item = Fact>) {
    let mut facts = facts.into_iter().peekable();
    if facts.peek().is_some() {
        let mut incidents = locked(incidents);
        facts.for_each(|fact| incidents.take(fact));
    }
}

/// The incidents of the watch that this is the summary of.
pub fn told(incidents: &Shared, summary: &Summary) -> Told {
    locked(incidents).told(summary.duration.as_nanos() as u64)
}

/// A look that panicked has left nothing half done.
fn locked(incidents: &Shared) -> MutexGuard<'_, Incidents> {
    incidents.lock().unwrap_or_else(PoisonError::into_inner)
}
