//! memcached at its limit of connections, told not to send those beyond it away.

use super::*;

/// It may have as many descriptors as connections, and has opened some itself.
fn memcached(connections: &str) -> Result<()> {
    let netns = Netns::new()?;
    let Some(program) = installed("memcached", "usr/bin/memcached")? else {
        return Ok(());
    };
    let directory = Directory::new(&format!("memcached-{connections}"))?;
    let (ip, port) = (TO.ip().to_string(), TO.port().to_string());
    let arguments = [
        ["-u", "nobody"],
        ["-l", &ip],
        ["-p", &port],
        ["-c", connections],
        ["-t", "1"],
        ["-b", "16"],
        ["-o", "no_maxconns_fast"],
    ];
    let _memcached = Server::start(&netns, TO, directory, &program, arguments.as_flattened())?;
    expect(
        &pressed(&netns, CLIENTS)?,
        &["accept-paused-by-application"],
    )
}

#[test]
#[ignore = "needs memcached; `cargo xtask lab` runs it"]
fn memcached_at_its_limit() -> Result<()> {
    memcached("20")
}

/// Its limit is so low that it never has a connection.
#[test]
#[ignore = "needs memcached; `cargo xtask lab` runs it"]
fn memcached_without_room_for_one() -> Result<()> {
    memcached("12")
}
