//! A command that runs, and how it ended or why it could not be started.

use std::{
    ffi::OsString,
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child as Process, Command},
    time::{Duration, Instant},
};

use rustix::process::{Pid, kill_process};
use tokio::signal::unix::{Signal, SignalKind};

use super::not_run::NotRun;
use crate::{host::stack, model::Ended};

#[derive(Debug, Default)]
pub(crate) enum State {
    #[default]
    Waiting,
    Failed(NotRun),
    Running(Running),
    Done {
        ended: Ended,
        lasted: Duration,
    },
}

#[derive(Debug)]
pub(crate) struct Running {
    pub process: Process,
    pub began: Instant,
    /// A SIGQUIT of the terminal is for the command alone.
    pub _quits: Signal,
}

impl Running {
    pub(crate) fn look(&mut self) -> io::Result<Option<State>> {
        let status = self.process.try_wait()?;
        Ok(status.map(|status| State::Done {
            ended: how(status),
            lasted: self.began.elapsed(),
        }))
    }

    /// It was not waited for yet, so its number is still its own.
    pub(crate) fn signal(&self, kind: SignalKind) {
        let pid = Pid::from_raw(self.process.id().cast_signed());
        let signal = rustix::process::Signal::from_named_raw(kind.as_raw_value());
        if let (Some(pid), Some(signal)) = (pid, signal) {
            // One that has just ended needs no signal.
            let _ = kill_process(pid, signal);
        }
    }
}

pub(crate) fn how(status: std::process::ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code as u8),
        (None, Some(signal)) => Ended::Signal(signal),
        // It is only waited for when it has ended, one way or the other.
        (None, None) => Ended::Code(1),
    }
}

/// Told to ignore these signals, and with the limits that whydrop was started with.
pub(crate) fn command(words: &[OsString], ignored: &[i32]) -> Result<Command, NotRun> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(NotRun::Unnamed);
    };
    let mut command = Command::new(program);
    command.args(arguments);
    // Without either the kernel has less to copy.
    if !ignored.is_empty() || stack::is_widened() {
        let ignored = ignored.to_vec();
        // SAFETY: signal(2) and setrlimit(2) are async-signal-safe, and nothing else is done between fork and exec.
        unsafe {
            command.pre_exec(move || {
                for number in &ignored {
                    libc::signal(*number, libc::SIG_IGN);
                }
                stack::restore()
            });
        }
    }
    Ok(command)
}
