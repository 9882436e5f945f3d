//! A command that runs, and how it ended or why it could not be started.

use std::{
    io::{self, ErrorKind},
    os::unix::process::ExitStatusExt,
    process::Child as Process,
    time::{Duration, Instant},
};

use rustix::process::{Pid, kill_process};
use tokio::signal::unix::{Signal, SignalKind};

use crate::{command::Failure, model::Ended};

/// What a shell ends with when a command is not there, and when it cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

#[derive(Debug, Default)]
pub enum State {
    #[default]
    Waiting,
    Failed(Failure),
    Running(Running),
    Done {
        ended: Ended,
        lasted: Duration,
    },
}

#[derive(Debug)]
pub struct Running {
    pub process: Process,
    pub began: Instant,
    /// A SIGQUIT of the terminal is for the command alone.
    pub _quits: Signal,
}

impl Running {
    pub fn look(&mut self) -> io::Result<Option<State>> {
        let status = self.process.try_wait()?;
        Ok(status.map(|status| State::Done {
            ended: how(status),
            lasted: self.began.elapsed(),
        }))
    }

    /// It was not waited for yet, so its number is still its own.
    pub fn signal(&self, kind: SignalKind) {
        let pid = Pid::from_raw(self.process.id().cast_signed());
        let signal = rustix::process::Signal::from_named_raw(kind.as_raw_value());
        if let (Some(pid), Some(signal)) = (pid, signal) {
            // One that has just ended needs no signal.
            let _ = kill_process(pid, signal);
        }
    }
}

pub fn how(status: std::process::ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code as u8),
        (None, Some(signal)) => Ended::Signal(signal),
        // It is only waited for when it has ended, one way or the other.
        (None, None) => Ended::Code(1),
    }
}

pub fn not_started(program: &str, error: &io::Error) -> Failure {
    let status = match error.kind() {
        ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    };
    Failure::new(
        status,
        format!(
            "cannot start `{program}`: {error}; name a program in PATH, or its path, after `--`"
        ),
    )
}

pub fn lost(error: &io::Error) -> Failure {
    Failure::failed(format!("cannot wait for the command: {error}"))
}
