//! PostgreSQL with more clients than it may have: it accepts them, says so, and closes. Nobody is refused.

use std::time::Duration;

use whydrop_tests::every::Every;

use super::super::postgres::postgres;
use super::*;

#[test]
#[ignore = "needs postgresql-15; `cargo xtask lab` runs it"]
fn postgres_with_too_many_clients() -> Result<()> {
    let netns = Netns::new()?;
    if installed("postgresql-15", "usr/lib/postgresql/15/bin/postgres")?.is_none() {
        return Ok(());
    }
    let _postgres = postgres(&netns, "postgres-many")?;
    let mut clients = Vec::new();
    let mut every = Every::new(Duration::from_millis(10));
    let answer = why(&netns, || {
        if every.is_due() {
            clients.push(Client::connect(&netns, TO)?);
        }
        Ok(())
    })?;
    expect(&answer, &[])
}
