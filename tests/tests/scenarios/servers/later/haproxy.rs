//! haproxy: it takes so many sessions a second, and leaves the others in the queue.

use super::*;

#[test]
#[ignore = "needs haproxy; `cargo xtask lab` runs it"]
fn haproxy_at_its_rate_of_sessions() -> Result<()> {
    let netns = Netns::new()?;
    let Some(program) = installed("haproxy", "usr/sbin/haproxy")? else {
        return Ok(());
    };
    let directory = Directory::new("haproxy-rate")?;
    let configuration = format!(
        "global\n  nbthread 1\n\
         defaults\n  mode http\n  timeout client 60s\n  timeout http-request 60s\n\
         frontend f\n  bind {TO} backlog 8\n  rate-limit sessions 2\n  http-request return status 200\n"
    );
    let path = directory.write("haproxy.cfg", &configuration)?;
    let path = path.display().to_string();
    let _haproxy = Server::start(&netns, TO, directory, &program, &["-db", "-f", &path])?;
    expect(
        &pressed(&netns, CLIENTS)?,
        &["accept-paused-by-application"],
    )
}
