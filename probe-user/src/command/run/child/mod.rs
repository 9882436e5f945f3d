//! The command: started, told of signals, and waited for.

mod running;

use std::{
    cell::RefCell,
    ffi::OsString,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
    time::sleep,
};

use self::running::{Running, State, command, how, lost, not_started};
use crate::{command::Failure, model::Ended, source::stop::is_ignored};

/// An end that no signal tells of is noticed after so long.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Signals that a terminal or a shell may have told whydrop to ignore, and that whydrop does not ignore.
const CAUGHT: [i32; 3] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// The command before, while and after it runs.
#[derive(Debug)]
pub(crate) struct Child {
    /// Signals that it is to ignore, since whydrop was told to.
    ignored: Vec<i32>,
    state: RefCell<State>,
    /// It was started, or could not be.
    begun: Notify,
    /// Tells when to look whether it has ended.
    ends: RefCell<Option<Signal>>,
}

impl Child {
    /// To be called before any signal is caught.
    pub(crate) fn new() -> Self {
        let ignores = |number: &i32| is_ignored(SignalKind::from_raw(*number));
        Self {
            ignored: CAUGHT.into_iter().filter(ignores).collect(),
            state: RefCell::default(),
            begun: Notify::new(),
            ends: RefCell::default(),
        }
    }

    /// Starts it, within an event loop.
    pub(crate) fn start(&self, words: &[OsString]) {
        *self.state.borrow_mut() = match self.spawn(words) {
            Ok(running) => State::Running(running),
            Err(failure) => State::Failed(failure),
        };
        self.begun.notify_one();
    }

    fn spawn(&self, words: &[OsString]) -> Result<Running, Failure> {
        let catch = |error| Failure::failed(format!("cannot catch signals: {error}"));
        let ends = signal(SignalKind::child()).map_err(catch)?;
        let quits = signal(SignalKind::quit()).map_err(catch)?;
        let mut command = command(words, &self.ignored)?;
        // Caught before the start, so that no end is missed.
        *self.ends.borrow_mut() = Some(ends);
        let process = command
            .spawn()
            .map_err(|error| not_started(&command.get_program().to_string_lossy(), &error))?;
        Ok(Running {
            process,
            began: Instant::now(),
            _quits: quits,
        })
    }

    /// Returns when it has ended, or could not be started.
    pub(crate) async fn ended(&self) {
        self.begun.notified().await;
        let ends = self.ends.borrow_mut().take();
        let Some(mut ends) = ends else { return };
        while self.runs() {
            tokio::select! {
                _ = ends.recv() => {}
                // Whoever started whydrop may have blocked SIGCHLD.
                () = sleep(LOOK_AGAIN_AFTER) => {}
            }
        }
    }

    /// Looks whether it still runs.
    fn runs(&self) -> bool {
        let state = &mut *self.state.borrow_mut();
        let State::Running(running) = state else {
            return false;
        };
        match running.look() {
            Ok(None) => return true,
            Ok(Some(done)) => *state = done,
            Err(error) => *state = State::Failed(lost(&error)),
        }
        false
    }

    /// Passes a signal on, unless the terminal has sent it to the command as well.
    pub(crate) fn signalled(&self, kind: SignalKind) {
        match &mut *self.state.borrow_mut() {
            State::Running(running) if kind != SignalKind::interrupt() => running.signal(kind),
            state @ State::Waiting => {
                let number = kind.as_raw_value();
                *state = State::Failed(Failure::new(
                    Ended::Signal(number).status(),
                    format!("ended by signal {number} before the command was started"),
                ));
            }
            _ => {}
        }
    }

    /// How it ended and how long it ran. Waits for one that still runs.
    pub(crate) fn outcome(self) -> Result<(Ended, Duration), Failure> {
        match self.state.into_inner() {
            State::Waiting => Err(Failure::failed("the command was not started")),
            State::Failed(failure) => Err(failure),
            State::Done { ended, lasted } => Ok((ended, lasted)),
            State::Running(mut running) => {
                let status = running.process.wait().map_err(|error| lost(&error))?;
                Ok((how(status), running.began.elapsed()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_before_the_start_is_the_end() {
        let child = Child::new();
        child.signalled(SignalKind::interrupt());
        let failure = child.outcome().expect_err("not started");
        assert_eq!(failure.status, 130);
    }
}
