//! Deadlines instead of sleeps. A test says what it waits for and for how long
//! at most; in a VM that emulates its processor everything may take longer.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::event::{Timespec, poll};

/// Between two looks at a condition. Short, since most conditions hold at once.
const LOOK_AGAIN_AFTER: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 2_000_000,
};

/// Whether this is the static binary in the initramfs of a test VM.
pub fn in_vm() -> bool {
    std::env::current_exe().is_ok_and(|exe| exe == Path::new("/bin/scenarios"))
}

/// The kernel answers at once; this is how long a test waits before it calls
/// that a failure.
pub fn soon() -> Duration {
    scaled(Duration::from_secs(10))
}

/// How long `whydrop` may take until it says that it is ready.
pub fn ready() -> Duration {
    Duration::from_secs(if in_vm() { 60 } else { 30 })
}

/// A duration that a slow VM may exceed by four times.
pub fn scaled(limit: Duration) -> Duration {
    if in_vm() { limit * 4 } else { limit }
}

/// Waits until the condition holds; the error names what did not happen.
pub fn wait_until(
    what: &str,
    limit: Duration,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let end = Instant::now() + limit;
    while !holds()? {
        if Instant::now() >= end {
            bail!("waited {limit:?} in vain for {what}");
        }
        poll(&mut [], Some(&LOOK_AGAIN_AFTER))?;
    }
    Ok(())
}

/// What is left until `end`, as poll(2) takes it.
pub fn left_until(end: Instant) -> Timespec {
    let left = end.saturating_duration_since(Instant::now());
    Timespec {
        tv_sec: left.as_secs() as i64,
        tv_nsec: i64::from(left.subsec_nanos()),
    }
}
