//! A whydrop whose lines go to a file, which is followed: of events only how many refusals of which namespace there were is
//! kept, so that the test is never slower than whydrop, and a file that is long enough is moved away and gone.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::deadline::{ready, soon, wait_until};
use crate::heard::Stopped;
use crate::whydrop::{Watch, Whydrop};

pub struct Filed {
    whydrop: Whydrop,
    folder: Folder,
    pub lines: Lines,
}

/// What is in the file, as far as it was read.
pub struct Lines {
    file: File,
    /// A line whose end was not there yet.
    torn: Vec<u8>,
    /// The lines that are no events.
    pub others: Vec<Value>,
    overflows: HashMap<u64, u64>,
}

/// Gone with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Filed {
    /// Started, and its start line is in the file. `name` tells its folder from others.
    pub fn start(name: &str, watch: Watch) -> Result<Self> {
        let folder = format!("whydrop-filed-{}-{name}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(folder));
        fs::create_dir_all(&folder.0)?;
        let path = folder.0.join("lines");
        let path_text = path.to_str().context("no UTF-8")?;
        let mut command = watch.args(["--output", path_text]).command()?;
        // SAFETY: signal(2) is async-signal-safe, and nothing else is done between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGHUP, libc::SIG_DFL);
                Ok(())
            });
        }
        let whydrop = Whydrop::spawn(command)?;
        wait_until("a file of lines", ready(), || Ok(path.exists()))?;
        let mut lines = Lines::of(&path)?;
        lines.wait("its start", ready(), |line| line["type"] == "start")?;
        Ok(Self {
            whydrop,
            folder,
            lines,
        })
    }

    pub fn pid(&self) -> u32 {
        self.whydrop.pid()
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.whydrop.signal(signal)
    }

    /// The file is moved, what comes goes into a new one, and the old one is gone.
    pub fn rotate(&mut self) -> Result<()> {
        let [path, moved] = ["lines", "moved"].map(|name| self.folder.0.join(name));
        fs::rename(&path, &moved)?;
        self.signal(Signal::HUP)?;
        wait_until("a new file", soon(), || Ok(path.exists()))?;
        // Nothing is written to the old one any more.
        self.lines.read()?;
        ensure!(
            self.lines.torn.is_empty(),
            "the end of a line is in another file"
        );
        fs::remove_file(moved)?;
        self.lines.file = File::open(path)?;
        Ok(())
    }

    /// Ctrl-C, and what was said until the end; how long that took.
    pub fn stop(self) -> Result<(Stopped, Lines, Duration)> {
        let Self {
            whydrop,
            folder,
            mut lines,
        } = self;
        let began = Instant::now();
        let mut stopped = whydrop.stop()?;
        let took = began.elapsed();
        lines.read()?;
        stopped.others = std::mem::take(&mut lines.others);
        drop(folder);
        Ok((stopped, lines, took))
    }
}

impl Lines {
    fn of(path: &Path) -> Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            torn: Vec::new(),
            others: Vec::new(),
            overflows: HashMap::new(),
        })
    }

    /// Refusals for want of room in this namespace that had a line by now.
    pub fn overflows(&self, netns: u64) -> u64 {
        self.overflows.get(&netns).copied().unwrap_or(0)
    }

    /// Reads what has come.
    pub fn read(&mut self) -> Result<()> {
        let mut bytes = std::mem::take(&mut self.torn);
        self.file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        self.torn = bytes.split_off(whole.map_or(0, |at| at + 1));
        for line in bytes.split(|byte| *byte == b'\n') {
            if line.starts_with(br#"{"type":"event""#) {
                self.event(line);
            } else if !line.is_empty() {
                let value = serde_json::from_slice(line)
                    .with_context(|| format!("no JSON: {}", String::from_utf8_lossy(line)))?;
                self.others.push(value);
            }
        }
        Ok(())
    }

    /// Without parsing it: there are many.
    fn event(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let after = |what| line.split_once(what).map(|(_, after)| after);
        if after(r#""kind":"overflow""#).is_none() {
            return;
        }
        let number = after(r#""netns":"#).and_then(|rest| rest.split_once(','));
        if let Some(netns) = number.and_then(|(number, _)| number.parse().ok()) {
            *self.overflows.entry(netns).or_default() += 1;
        }
    }

    /// Waits for a line that is no event, which comes out with those before it.
    pub fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Value>> {
        let mut at = None;
        wait_until(what, limit, || {
            self.read()?;
            at = self.others.iter().position(&fits);
            Ok(at.is_some())
        })?;
        Ok(self.others.drain(..=at.context("no line")?).collect())
    }
}
