//! Threads that may not be made: that is an error with a sentence, where `std::thread::spawn` would panic.

use std::{
    io,
    thread::{Builder, JoinHandle, Scope, ScopedJoinHandle},
};

use thiserror::Error;

#[derive(Debug, Error)]
#[error(
    "no thread could be started {purpose}: {source}; let whydrop have more of them (`ulimit -u`, TasksMax= of its unit, pids.max of its cgroup)"
)]
/// A thread could not be started.
pub struct NoThread {
    /// As it goes on after "started".
    purpose: &'static str,
    source: io::Error,
}

impl NoThread {
    fn to(purpose: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { purpose, source }
    }
}

/// A thread that `purpose` tells what it is for, such as "to connect".
pub fn spawn<T: Send + 'static>(
    purpose: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, NoThread> {
    Builder::new().spawn(work).map_err(NoThread::to(purpose))
}

/// As [`spawn`], of a scope.
pub fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    purpose: &'static str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, NoThread> {
    let spawned = Builder::new().spawn_scoped(scope, work);
    spawned.map_err(NoThread::to(purpose))
}
