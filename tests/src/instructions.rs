//! Instructions of the whole machine, counted where the time stamp counter does
//! that: in a VM that `cargo xtask bench --instructions` boots. It has one
//! processor. While that waits, time goes on as if it had instructions, so what
//! it waited is taken off.

use std::arch::asm;
use std::arch::x86_64::_rdtsc;
use std::io::Error;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::steady;

/// Of a loop that has as many instructions twice.
const LOOPS: u64 = 100_000;
const ATTEMPTS: usize = 5;

/// Since the machine was switched on.
pub fn now() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux lets programs use it unless they ask otherwise.
    unsafe { _rdtsc() }
}

/// Whether the machine counts instructions: a loop of known length has to take
/// its length, except when an interrupt comes in between.
pub fn are_counted() -> bool {
    let took = (0..ATTEMPTS).map(|_| {
        let before = now();
        // SAFETY: it counts a register down to zero, and uses nothing else.
        unsafe {
            asm!("2:", "dec {0}", "jnz 2b", inout(reg) LOOPS => _, options(nomem, nostack));
        }
        now() - before
    });
    let least = took.min().unwrap_or_default();
    (2 * LOOPS..2 * LOOPS + 1000).contains(&least)
}

/// From now on nothing but interrupts runs on this thread's processor unless
/// it waits.
pub fn go_first() -> Result<()> {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: it reads one structure that lives for the call; 0 is this thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) } < 0 {
        bail!("cannot go first: {}", Error::last_os_error());
    }
    Ok(())
}

/// Since then, without those in which the processor had nothing to do. Newer
/// kernels do not tell how long that was, only how long tasks ran: interrupts
/// that come while none does are left out there.
pub fn busy() -> Result<u64> {
    if let Some(idle) = idle()? {
        return Ok(now() - idle);
    }
    // How long a task ran is known once it waits.
    steady::rest(Duration::from_millis(1))?;
    of_tasks()
}

/// kernel/time/timer_list.c:print_cpu, 5.10 to 6.12.
fn idle() -> Result<Option<u64>> {
    let list = std::fs::read_to_string("/proc/timer_list")?;
    let field = list
        .lines()
        .find_map(|line| line.trim().strip_prefix(".idle_sleeptime"))
        .and_then(|rest| rest.split_whitespace().nth(1));
    Ok(field.map(str::parse).transpose()?)
}

/// kernel/sched/stats.c:show_schedstat.
fn of_tasks() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/schedstat")?;
    let field = stat
        .lines()
        .find(|line| line.starts_with("cpu0 "))
        .and_then(|line| line.split_whitespace().nth(7));
    let ns = field.context("no time of tasks in /proc/schedstat")?;
    Ok(ns.parse()?)
}
