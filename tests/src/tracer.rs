//! A tracer as a child whose lines nobody reads while it is measured: its pipe
//! holds them. It counts as ready when it has said something, or keeps silent,
//! and the machine has nothing to do any more: that fits every tracer.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Signal;

use crate::process;
use crate::steady::rest;
use crate::{deadline, instructions};

const PIPE_BYTES: usize = 4 << 20;
const READY: Duration = Duration::from_mins(1);
/// Between two looks at whether the machine has something to do.
const LOOK: Duration = Duration::from_millis(500);
/// A machine with nothing to do needs fewer in that time.
const QUIET: u64 = 10_000_000;

pub struct Tracer {
    child: Child,
    stderr: File,
    said: Vec<u8>,
}

impl Tracer {
    /// Starts it and waits until it is ready. If it ends, the error is what it said.
    pub fn start(command: &mut Command) -> Result<Self> {
        let stderr = rustix::fs::memfd_create("stderr", rustix::fs::MemfdFlags::empty())?;
        let stderr = File::from(stderr);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone()?)
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let stdout = child.stdout.as_ref().context("no stdout")?;
        rustix::pipe::fcntl_setpipe_size(stdout, PIPE_BYTES)?;
        fcntl_setfl(stdout, fcntl_getfl(stdout)? | OFlags::NONBLOCK)?;
        let mut this = Self {
            child,
            stderr,
            said: Vec::new(),
        };
        this.wait_ready()?;
        Ok(this)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let end = Instant::now() + READY;
        let mut looks = 0;
        // Some keep back what they say until there is more of it.
        while looks < if self.said.is_empty() { 10 } else { 2 } {
            let before = instructions::busy()?;
            rest(LOOK)?;
            let busy = instructions::busy()? - before > QUIET;
            looks = if busy { 0 } else { looks + 1 };
            self.read()?;
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}: {}", self.complaints());
            }
            if Instant::now() >= end {
                bail!("not ready within {READY:?}: {}", self.complaints());
            }
        }
        self.said.clear();
        Ok(())
    }

    /// How many of the lines since the last time have these words in them.
    pub fn lines_with(&mut self, words: &str) -> Result<usize> {
        self.read()?;
        let whole = self.said.iter().rposition(|&byte| byte == b'\n');
        let lines: Vec<u8> = self.said.drain(..whole.map_or(0, |end| end + 1)).collect();
        let lines = String::from_utf8_lossy(&lines);
        Ok(lines.lines().filter(|line| line.contains(words)).count())
    }

    /// What it has said on its standard error.
    pub fn complaints(&mut self) -> String {
        let mut text = Vec::new();
        let _ = self.stderr.rewind();
        let _ = self.stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).trim().replace('\n', "; ")
    }

    /// Ctrl-C.
    pub fn stop(mut self) -> Result<()> {
        process::signal(self.child.id(), Signal::INT)?;
        deadline::wait_until("the end of the tracer", READY, || {
            self.read()?;
            Ok(self.child.try_wait()?.is_some())
        })
    }

    fn read(&mut self) -> Result<()> {
        let stdout = self.child.stdout.as_mut().context("no stdout")?;
        let mut ready = [PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::IN)];
        if poll(&mut ready, Some(&Timespec::default()))? == 0 {
            return Ok(());
        }
        match stdout.read_to_end(&mut self.said) {
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
