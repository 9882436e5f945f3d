//! Where a scene is played: it sets up, says so, and goes on for as long as it is watched.

use std::{
    fs,
    io::{self, Read},
    process::Child,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender},
    time::Duration,
};

pub(super) struct Stage {
    pub is_set: Sender<()>,
    /// Says when the watch begins, and is closed at its end.
    pub watch: Receiver<()>,
}

impl Stage {
    /// Everything is in its place. Returns when whydrop watches, or never will.
    pub(super) fn begin(&self) {
        let _ = self.is_set.send(());
        let _ = self.watch.recv();
    }

    /// Waits so long; whether the watch goes on then.
    pub(super) fn goes_on(&self, pause: Duration) -> bool {
        self.watch.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
    }

    /// Sets a sysctl of the namespace, such as `core/somaxconn`.
    #[allow(
        clippy::unused_self,
        reason = "only a scene on its stage has a namespace of its own"
    )]
    pub(super) fn sysctl(&self, name: &str, value: &str) -> io::Result<()> {
        // It shows the namespace of the calling thread.
        fs::write(format!("/proc/sys/net/{name}"), value)
    }
}

/// A helper says one line when it is ready.
pub(super) fn wait_for_ready(helper: &mut Child) -> io::Result<()> {
    let said = match helper.stdout.take() {
        Some(mut stdout) => stdout.read_exact(&mut [0]),
        None => Ok(()),
    };
    said.map_err(|_| io::Error::other("a process of the scene ended before it was ready"))
}
