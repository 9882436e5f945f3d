//! What to hold costs against on a machine that nobody knows: a byte goes into a
//! pipe and comes out again. Like whydrop's own work between two packets it is
//! system calls more than computation, and it waits for nobody.

use std::time::Duration;

use anyhow::Result;
use rustix::io::{read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::time::{ClockId, clock_gettime};

const TURNS: u32 = 50_000;

/// CPU time of one turn.
pub fn turn_ns() -> Result<f64> {
    let (out, into) = pipe_with(PipeFlags::CLOEXEC)?;
    let began = cpu_of_thread();
    for _ in 0..TURNS {
        write(&into, &[1])?;
        read(&out, &mut [0])?;
    }
    let took = cpu_of_thread().saturating_sub(began);
    Ok(took.as_nanos() as f64 / f64::from(TURNS))
}

/// CPU time of the calling thread until now.
pub fn cpu_of_thread() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
