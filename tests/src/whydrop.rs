//! A running whydrop: started, waited for until it is ready, its events
//! collected while it runs, and stopped as a person stops it.

use std::io::{BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

pub use crate::binary::binary;
use crate::deadline;
use crate::event::Event;
use crate::heard::{Heard, Shared, Stopped, listen};
use crate::process;

pub struct Whydrop {
    child: Child,
    heard: Shared,
    stdout: Option<JoinHandle<Result<()>>>,
    stderr: Option<JoinHandle<String>>,
}

/// How to start one: the arguments after `watch --format json`.
#[derive(Default)]
pub struct Watch {
    arguments: Vec<String>,
    kept: Option<&'static [&'static str]>,
}

impl Watch {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn arg(mut self, argument: impl ToString) -> Self {
        self.arguments.push(argument.to_string());
        self
    }

    pub fn args<T: ToString>(self, arguments: impl IntoIterator<Item = T>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Forgets all of an event but these fields: for tests with so many that
    /// their memory would run out.
    pub fn keeping(mut self, fields: &'static [&'static str]) -> Self {
        self.kept = Some(fields);
        self
    }

    pub fn command(self) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.args(["watch", "--format", "json"]);
        if let (Some(tier), false) = (
            forced_tier(),
            self.arguments.iter().any(|argument| argument == "--tier"),
        ) {
            command.args(["--tier", &tier]);
        }
        command.args(self.arguments);
        Ok(command)
    }

    /// Starts it and waits for its readiness line.
    pub fn start(self) -> Result<Whydrop> {
        let kept = self.kept;
        let running = Whydrop::spawn_keeping(self.command()?, kept)?;
        if running.is_ready()? {
            return Ok(running);
        }
        let stopped = running.finish()?;
        bail!(
            "it ended before it was ready, with {:?}: {}",
            stopped.code,
            stopped.stderr
        )
    }
}

impl Whydrop {
    /// The default: everything, everywhere.
    pub fn start() -> Result<Self> {
        Watch::new().start()
    }

    pub fn spawn(command: Command) -> Result<Self> {
        Self::spawn_keeping(command, None)
    }

    /// As [`Watch::keeping`], for a command that was made ready by hand.
    pub fn spawn_keeping(
        mut command: Command,
        kept: Option<&'static [&'static str]>,
    ) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let heard = Shared::default();
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut stderr = child.stderr.take().context("no stderr")?;
        let listening = Arc::clone(&heard);
        Ok(Self {
            child,
            heard,
            stdout: Some(std::thread::spawn(move || listen(stdout, kept, &listening))),
            stderr: Some(std::thread::spawn(move || {
                let mut text = Vec::new();
                let _ = stderr.read_to_end(&mut text);
                String::from_utf8_lossy(&text).trim().to_owned()
            })),
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the readiness line; false if it ended without one.
    fn is_ready(&self) -> Result<bool> {
        let limit = deadline::ready();
        let decided = self.wait(limit, |heard| heard.closed || heard.start().is_some())?;
        ensure!(decided, "whydrop was not ready within {limit:?}");
        Ok(self.heard()?.start().is_some())
    }

    /// The readiness line.
    pub fn readiness(&self) -> Result<Value> {
        self.heard()?.start().cloned().context("no readiness line")
    }

    /// Waits for a line that is no event.
    pub fn wait_line(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Result<()> {
        let limit = deadline::soon();
        let heard = self.wait(limit, |heard| heard.others.iter().any(&fits))?;
        ensure!(heard, "no line about {what} within {limit:?}");
        Ok(())
    }

    pub fn events(&self, fits: impl Fn(&Event) -> bool) -> Result<Vec<Event>> {
        Ok(self
            .heard()?
            .events
            .iter()
            .filter(|event| fits(event))
            .cloned()
            .collect())
    }

    /// Waits for `n` events that fit and returns all of them.
    pub fn wait_events(
        &self,
        n: usize,
        what: &str,
        fits: impl Fn(&Event) -> bool,
    ) -> Result<Vec<Event>> {
        let limit = deadline::soon();
        let enough = self.wait(limit, |heard| {
            heard.closed || heard.events.iter().filter(|event| fits(event)).count() >= n
        })?;
        let events = self.events(&fits)?;
        if !enough || events.len() < n {
            let all: Vec<String> = self
                .events(|_| true)?
                .iter()
                .rev()
                .take(20)
                .map(Event::to_string)
                .collect();
            bail!(
                "{} of {n} {what} within {limit:?}; the last events:\n{}",
                events.len(),
                all.join("\n")
            );
        }
        Ok(events)
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        process::signal(self.pid(), signal)
    }

    /// SIGSTOP; returns when every thread stands still.
    pub fn suspend(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        deadline::wait_until("whydrop to stand still", deadline::soon(), || {
            for task in std::fs::read_dir(format!("/proc/{}/task", self.pid()))? {
                let status = std::fs::read_to_string(task?.path().join("status"))?;
                if !status.contains("\nState:\tT") {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ctrl-C, and what it says then.
    pub fn stop(self) -> Result<Stopped> {
        self.signal(Signal::INT)?;
        self.finish()
    }

    /// Waits until it ends by itself.
    pub fn finish(mut self) -> Result<Stopped> {
        let limit = deadline::scaled(Duration::from_secs(30));
        let ended = self.wait(limit, |heard| heard.closed)?;
        ensure!(
            ended,
            "whydrop has not ended within {limit:?}; its threads: {}",
            threads(self.child.id())
        );
        let mut status = None;
        deadline::wait_until("the end of whydrop", limit, || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })?;
        let stderr = self
            .stderr
            .take()
            .and_then(|reader| reader.join().ok())
            .unwrap_or_default();
        if let Some(Ok(result)) = self.stdout.take().map(JoinHandle::join) {
            result?;
        }
        let heard = std::mem::take(&mut *self.heard()?);
        let code = status.and_then(|status| status.code());
        Ok(Stopped {
            code,
            events: heard.events,
            others: heard.others,
            stderr,
        })
    }

    fn heard(&self) -> Result<MutexGuard<'_, Heard>> {
        self.heard
            .0
            .lock()
            .ok()
            .context("the reader of whydrop panicked")
    }

    /// Waits for new lines until the condition holds; false at the deadline.
    fn wait(&self, limit: Duration, holds: impl Fn(&Heard) -> bool) -> Result<bool> {
        let end = Instant::now() + limit;
        let mut heard = self.heard()?;
        while !holds(&heard) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            heard = self
                .heard
                .1
                .wait_timeout(heard, left)
                .ok()
                .context("the reader of whydrop panicked")?
                .0;
        }
        Ok(true)
    }
}

impl Drop for Whydrop {
    fn drop(&mut self) {
        // Only for a test that failed before it came to `stop`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs it to its end with these arguments, as they are.
pub fn run(arguments: &[&str]) -> Result<Stopped> {
    let mut command = Command::new(binary()?);
    command.args(arguments);
    Whydrop::spawn(command)?.finish()
}

/// What each thread of a process is at, for the message about one that hangs.
fn threads(pid: u32) -> String {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return "none".into();
    };
    tasks
        .flatten()
        .map(|task| {
            let read = |name: &str| std::fs::read_to_string(task.path().join(name));
            let [comm, syscall, stack] =
                ["comm", "syscall", "stack"].map(|name| read(name).unwrap_or_default());
            format!("{} in {}\n{stack}", comm.trim(), syscall.trim())
        })
        .collect()
}

/// The tier under test, if the caller of the tests asks for one.
pub fn forced_tier() -> Option<String> {
    std::env::var("WHYDROP_TIER")
        .ok()
        .filter(|tier| !tier.is_empty())
}
