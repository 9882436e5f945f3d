//! A processor that a test keeps to itself while a timer of the kernel is due.
//!
//! Kernels exist that run no tracing program while certain tasks are the current ones, whatever interrupt has come: on 6.18
//! as it is where these tests were written, every one of 24 runs of `tcp_retransmit_synack` that ftrace saw in a thread of
//! PID 1 was missing from whydrop's lines, and none of 1,331 others. A timer fires in whatever task it interrupts.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use crate::instructions::go_first;
use crate::steady::rest;

/// The thread stays on its processor, and with it the timers of requests that it makes (`TIMER_PINNED`,
/// net/ipv4/inet_connection_sock.c:reqsk_queue_hash_req, 5.10 to 7.2).
pub struct Processor {
    may_before: CpuSet,
    since: Instant,
}

impl Processor {
    pub fn stay() -> Result<Self> {
        let may_before = sched_getaffinity(None)?;
        let mut only = CpuSet::new();
        only.set(sched_getcpu());
        sched_setaffinity(None, &only).context("stay on a processor")?;
        Ok(Self {
            may_before,
            since: Instant::now(),
        })
    }

    /// From `after` on for `time`, counted from when it was taken, no other task runs there.
    pub fn keep(&self, after: Duration, time: Duration) -> Result<()> {
        let spin = || {
            let begin = self.since + after;
            rest(begin.saturating_duration_since(Instant::now()))?;
            go_first()?;
            while begin.elapsed() < time {
                std::hint::spin_loop();
            }
            Ok(())
        };
        // A thread of its own: it takes its rank with it when it ends.
        thread::scope(|scope| scope.spawn(spin).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        let _ = sched_setaffinity(None, &self.may_before);
    }
}
