//! A whydrop that starts a command, or judges a listener: a process of which
//! every stream is the test's own, read with deadlines.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use serde_json::Value;

use crate::deadline::{left_until, ready, scaled, wait_until};
use crate::process;
use crate::schema::Schema;
use crate::whydrop::{binary, forced_tier};

pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

/// What is left of it: of its streams what was not read yet.
pub struct Over {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// `whydrop <subcommand> [--tier TIER] <arguments>`.
pub fn whydrop(subcommand: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.arg(subcommand);
    if let (Some(tier), false) = (forced_tier(), arguments.contains(&"--tier")) {
        command.args(["--tier", &tier]);
    }
    command.args(arguments);
    Ok(command)
}

impl Running {
    pub fn start(mut command: Command) -> Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().context("no stdout")?),
            stderr: BufReader::new(child.stderr.take().context("no stderr")?),
            child,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        process::signal(self.pid(), signal)
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let stdin = self.stdin.as_mut().context("stdin is closed")?;
        stdin.write_all(bytes).context("write to stdin")
    }

    /// A line of its standard output, without the newline.
    pub fn line(&mut self) -> Result<String> {
        line_of(&mut self.stdout)
    }

    /// A line of its standard error.
    pub fn error_line(&mut self) -> Result<String> {
        line_of(&mut self.stderr)
    }

    /// So many bytes of its standard error.
    pub fn read_error(&mut self, bytes: &mut [u8]) -> Result<()> {
        let end = Instant::now() + ready();
        wait_for(&self.stderr, end)?;
        self.stderr.read_exact(bytes).context("read from stderr")
    }

    /// Waits for its end; its input stays open.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let limit = scaled(Duration::from_secs(30));
        let mut status = None;
        wait_until("the end of whydrop", limit, || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })?;
        status.context("no status")
    }

    /// Closes its input and waits for its end. What it writes must fit into pipes.
    pub fn finish(mut self) -> Result<Over> {
        drop(self.stdin.take());
        let mut over = Over {
            status: self.wait()?,
            stdout: Vec::new(),
            stderr: String::new(),
        };
        self.stdout.read_to_end(&mut over.stdout)?;
        self.stderr.read_to_string(&mut over.stderr)?;
        Ok(over)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only for a test that failed before it came to `finish`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line_of(output: &mut BufReader<impl Read + AsFd>) -> Result<String> {
    wait_for(output, Instant::now() + ready())?;
    let mut line = String::new();
    output.read_line(&mut line)?;
    ensure!(line.ends_with('\n'), "the output ended with {line:?}");
    line.pop();
    Ok(line)
}

/// Returns when there is something to read, or its end.
fn wait_for(output: &BufReader<impl Read + AsFd>, end: Instant) -> Result<()> {
    if output.buffer().is_empty() {
        let fd = output.get_ref().as_fd();
        let mut readable = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        let n = poll(&mut readable, Some(&left_until(end)))?;
        ensure!(n == 1, "nothing to read within {:?}", ready());
    }
    Ok(())
}

impl Over {
    /// On its standard error.
    pub fn ensure_says(&self, text: &str) -> Result<()> {
        ensure!(self.stderr.contains(text), "it says: {}", self.stderr);
        Ok(())
    }

    pub fn ensure_status(&self, expected: i32) -> Result<()> {
        ensure!(
            self.status.code() == Some(expected),
            "it ended with {:?}, not {expected}: {}{}",
            self.status,
            String::from_utf8_lossy(&self.stdout),
            self.stderr
        );
        Ok(())
    }
}

/// The JSON lines of a text, each as `whydrop schema` has it.
pub fn lines(text: &[u8]) -> Result<Vec<Value>> {
    let schema = Schema::of_binary()?;
    let text = String::from_utf8_lossy(text);
    let line = |line: &str| {
        let value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        let checked = schema.check(&value);
        checked.with_context(|| format!("against `whydrop schema`: {line}"))?;
        Ok(value)
    };
    text.lines().map(line).collect()
}

/// The line of this type.
pub fn line_of_type<'lines>(lines: &'lines [Value], name: &str) -> Result<&'lines Value> {
    let mut found = lines.iter().filter(|line| line["type"] == name);
    let line = found
        .next()
        .with_context(|| format!("no {name} line in {lines:?}"))?;
    ensure!(found.next().is_none(), "two {name} lines");
    Ok(line)
}

/// Everything in a file, nothing if it is not there.
pub fn read(path: &std::path::Path) -> Vec<u8> {
    let mut text = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let _ = file.read_to_end(&mut text);
    }
    text
}
