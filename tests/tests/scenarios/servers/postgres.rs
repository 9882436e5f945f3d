//! PostgreSQL: the postmaster alone accepts, and starts a process for each client.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use whydrop_tests::netns::Netns;
use whydrop_tests::server::{Directory, Server, command, file_of};

use super::{MANY_CLIENTS, TO, expect, pressed, signal};

/// It does not run as root.
const AS_NOBODY: [&str; 5] = [
    "--reuid=nobody",
    "--regid=nogroup",
    "--clear-groups",
    "--pdeathsig",
    "KILL",
];

pub(super) fn postgres(netns: &Netns, name: &str) -> Result<Server> {
    let directory = Directory::new(name)?;
    let (at, port) = (
        directory.path().display().to_string(),
        TO.port().to_string(),
    );
    std::os::unix::fs::chown(directory.path(), Some(65534), Some(65534))?;
    let program = |name: &str| {
        file_of(
            "postgresql-15",
            &format!("usr/lib/postgresql/15/bin/{name}"),
        )
    };
    let made = command("setpriv")
        .args(AS_NOBODY)
        .arg(program("initdb")?)
        .args(["--no-sync", "--auth=trust", "-D", &format!("{at}/data")])
        .current_dir(&at)
        .stdin(Stdio::null())
        .output()
        .context("initdb")?;
    ensure!(
        made.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let postgres = program("postgres")?.display().to_string();
    let data = format!("{at}/data");
    let address = TO.ip().to_string();
    // Its backlog is twice its connections (src/backend/libpq/pqcomm.c:StreamServerPort, PostgreSQL 15).
    let arguments = [
        &postgres, "-D", &data, "-k", &at, "-h", &address, "-p", &port, "-N", "20",
    ];
    let arguments = [&AS_NOBODY[..], &arguments].concat();
    Server::start(netns, TO, directory, "setpriv".as_ref(), &arguments)
}

#[test]
#[ignore = "needs postgresql-15; `cargo xtask lab` runs it"]
fn postmaster_that_is_stopped() -> Result<()> {
    let netns = Netns::new()?;
    let postgres = postgres(&netns, "postgres-stopped")?;
    signal(postgres.main(), Signal::STOP)?;
    expect(&pressed(&netns, MANY_CLIENTS)?, &["acceptor-stopped"])
}
