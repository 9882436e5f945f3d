//! Processes: what one takes of the machine, and how it is told.

use std::fs;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// A child that does not outlive the test, however that ends.
pub struct Kept(pub Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    let which = Pid::from_raw(pid as i32).context("no pid")?;
    kill_process(which, signal).with_context(|| format!("{signal:?} to {pid}"))
}

/// Waits for the end of a child that nothing else waits for: its exit status, or `None` if a signal ended it.
pub fn wait_for(child: i32) -> Result<Option<i32>> {
    let pid = Pid::from_raw(child).context("no pid")?;
    let ended =
        waitpid(Some(pid), WaitOptions::empty()).with_context(|| format!("wait for {child}"))?;
    let (_, status) = ended.context("a child that did not end")?;
    Ok(status.exit_status())
}

/// Memory of a process that lives, in KiB: now and at its peak.
pub fn memory_kib(pid: u32) -> Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok())
            .with_context(|| format!("no {name} in the status of {pid}"))
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

/// From now on its peak is that since now (fs/proc/task_mmu.c:clear_refs_write, 5.10 to 7.2).
pub fn forget_peak(pid: u32) -> Result<()> {
    let file = format!("/proc/{pid}/clear_refs");
    fs::write(&file, "5").with_context(|| format!("forget the peak of memory in {file}"))
}

/// CPU time of all its threads, which ended ones have taken with them (/proc/PID/task/TID/schedstat).
pub fn cpu(pid: u32) -> Result<Duration> {
    let mut ns = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = fs::read_to_string(task?.path().join("schedstat"))?;
        let on_cpu = stat.split_whitespace().next();
        ns += on_cpu
            .and_then(|ns| ns.parse::<u64>().ok())
            .context("no time in schedstat")?;
    }
    Ok(Duration::from_nanos(ns))
}
