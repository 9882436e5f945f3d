//! A command that runs, and how it ended or why it could not be started.

use std::{
    ffi::OsString,
    io::{self, ErrorKind},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child as Process, Command},
    time::{Duration, Instant},
};

use rustix::process::{Pid, kill_process};
use tokio::signal::unix::{Signal, SignalKind};

use crate::{command::Failure, model::Ended};

/// What a shell ends with when a command is not there, and when it cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

#[derive(Debug, Default)]
pub(super) enum State {
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
pub(super) struct Running {
    pub process: Process,
    pub began: Instant,
    /// A SIGQUIT of the terminal is for the command alone.
    pub _quits: Signal,
}

impl Running {
    pub(super) fn look(&mut self) -> io::Result<Option<State>> {
        let status = self.process.try_wait()?;
        Ok(status.map(|status| State::Done {
            ended: how(status),
            lasted: self.began.elapsed(),
        }))
    }

    /// It was not waited for yet, so its number is still its own.
    pub(super) fn signal(&self, kind: SignalKind) {
        let pid = Pid::from_raw(self.process.id().cast_signed());
        let signal = rustix::process::Signal::from_named_raw(kind.as_raw_value());
        if let (Some(pid), Some(signal)) = (pid, signal) {
            // One that has just ended needs no signal.
            let _ = kill_process(pid, signal);
        }
    }
}

pub(super) fn how(status: std::process::ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code as u8),
        (None, Some(signal)) => Ended::Signal(signal),
        // It is only waited for when it has ended, one way or the other.
        (None, None) => Ended::Code(1),
    }
}

pub(super) fn not_started(program: &str, error: &io::Error) -> Failure {
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

pub(super) fn lost(error: &io::Error) -> Failure {
    Failure::failed(format!("cannot wait for the command: {error}"))
}

/// Told to ignore these signals.
pub(super) fn command(words: &[OsString], ignored: &[i32]) -> Result<Command, Failure> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::usage("no command; name it after `--`"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if !ignored.is_empty() {
        let ignored = ignored.to_vec();
        // SAFETY: signal(2) is async-signal-safe, and nothing else is done between fork and exec.
        unsafe {
            command.pre_exec(move || {
                for number in &ignored {
                    libc::signal(*number, libc::SIG_IGN);
                }
                Ok(())
            });
        }
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_a_shell() {
        assert_eq!(Ended::Code(3).status(), 3);
        assert_eq!(Ended::Signal(libc::SIGTERM).status(), 143);
        let status = |kind: ErrorKind| not_started("a", &kind.into()).status;
        assert_eq!(status(ErrorKind::NotFound), 127);
        assert_eq!(status(ErrorKind::PermissionDenied), 126);
    }
}
