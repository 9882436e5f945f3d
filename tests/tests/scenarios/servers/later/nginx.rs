//! nginx, one of whose workers does nothing: the other has the same listener.

use rustix::process::Signal;

use super::super::nginx::{nginx, worker};
use super::*;

#[test]
#[ignore = "needs nginx; `cargo xtask lab` runs it"]
fn nginx_with_one_of_two_workers_stopped() -> Result<()> {
    let netns = Netns::new()?;
    if installed("nginx", "usr/sbin/nginx")?.is_none() {
        return Ok(());
    }
    let nginx = nginx(&netns, "nginx-one-left", 2, "backlog=8")?;
    signal(worker(&nginx)?, Signal::STOP)?;
    let answer = why(&netns, || (0..5).try_for_each(|_| get(&netns)))?;
    expect(&answer, &[])
}
