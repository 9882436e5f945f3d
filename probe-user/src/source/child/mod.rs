//! The command: started, told of signals, and waited for.

mod not_run;
mod running;
mod watched;

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

pub use self::not_run::NotRun;
use self::running::{Running, State, command, how};
pub(crate) use self::watched::While;
use super::stop::is_ignored;
use crate::model::Ended;

/// An end that no signal tells of is noticed after so long.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Signals that a terminal or a shell may have told whydrop to ignore, and that whydrop does not ignore.
const CAUGHT: [i32; 3] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// A terminal sends them to the command as well.
const OF_TERMINAL: [i32; 2] = [libc::SIGINT, libc::SIGQUIT];

/// The command before, while and after it runs.
#[derive(Debug)]
pub struct Child {
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
    pub(super) fn new() -> Self {
        let ignores = |number: &i32| is_ignored(SignalKind::from_raw(*number));
        Self {
            ignored: CAUGHT.into_iter().filter(ignores).collect(),
            state: RefCell::default(),
            begun: Notify::new(),
            ends: RefCell::default(),
        }
    }

    /// Starts it, within an event loop.
    pub fn start(&self, words: &[OsString]) {
        *self.state.borrow_mut() = match self.spawn(words) {
            Ok(running) => State::Running(running),
            Err(error) => State::Failed(error),
        };
        self.begun.notify_one();
    }

    fn spawn(&self, words: &[OsString]) -> Result<Running, NotRun> {
        let ends = signal(SignalKind::child()).map_err(NotRun::Signals)?;
        let quits = signal(SignalKind::quit()).map_err(NotRun::Signals)?;
        let mut command = command(words, &self.ignored)?;
        // Caught before the start, so that no end is missed.
        *self.ends.borrow_mut() = Some(ends);
        let process = command.spawn().map_err(|error| NotRun::Refused {
            program: command.get_program().to_string_lossy().into_owned(),
            error,
        })?;
        Ok(Running {
            process,
            began: Instant::now(),
            _quits: quits,
        })
    }

    /// Returns when it has ended, or could not be started.
    pub async fn ended(&self) {
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
            Err(error) => *state = State::Failed(NotRun::Lost(error)),
        }
        false
    }

    /// Passes a signal on, unless the terminal has sent it to the command as well.
    pub fn signalled(&self, kind: SignalKind) {
        match &mut *self.state.borrow_mut() {
            State::Running(running) if !OF_TERMINAL.contains(&kind.as_raw_value()) => {
                running.signal(kind);
            }
            state @ State::Waiting => {
                *state = State::Failed(NotRun::Ended(kind.as_raw_value()));
            }
            _ => {}
        }
    }

    /// How it ended and how long it ran. Waits for one that still runs.
    pub fn outcome(self) -> Result<(Ended, Duration), NotRun> {
        match self.state.into_inner() {
            State::Waiting => Err(NotRun::Never),
            State::Failed(error) => Err(error),
            State::Done { ended, lasted } => Ok((ended, lasted)),
            State::Running(mut running) => {
                let status = running.process.wait().map_err(NotRun::Lost)?;
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
        let error = child.outcome().expect_err("not started");
        assert!(matches!(error, NotRun::Ended(libc::SIGINT)), "{error}");
    }
}
