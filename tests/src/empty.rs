//! Programs that do nothing, beside those of whydrop: what any program of that
//! kind costs in the same place.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::whydrop::binary;

/// Programs that do nothing, which end when this does.
pub struct Empty {
    child: Child,
    _until: ChildStdin,
}

impl Empty {
    pub fn attach() -> Result<Self> {
        let mut child = Command::new(binary()?)
            .arg("attach-empty")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let until = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut kinds = String::new();
        BufReader::new(stdout).read_line(&mut kinds)?;
        ensure!(!kinds.is_empty(), "no empty program was let in");
        Ok(Self {
            child,
            _until: until,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Empty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The empty program of the same kind.
pub fn of(program: &str) -> &'static str {
    let kind = program.split('_').next().unwrap_or_default();
    match kind {
        "typed" => "empty_typed",
        "raw" => "empty_raw",
        "fentry" => "empty_fentry",
        "fexit" => "empty_fexit",
        "kprobe" => "empty_kprobe",
        "kretprobe" => "empty_kretprobe",
        _ => "empty_cgroup_sk",
    }
}
