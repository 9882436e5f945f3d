//! What goes wrong around whydrop: signals under load, outputs that fail,
//! namespaces, listeners and processes that end before they are asked for, a
//! clock that is set. The counts are complete whatever happens, and what is
//! not known is said not to be.

mod clock;
mod gone;
mod long;
mod many;
mod output;
mod reused;
mod signals;
mod threads;
mod unread;

use std::time::Duration;

use anyhow::Result;
use whydrop_tests::flood::{Flood, Ready, clients};
use whydrop_tests::listener::Listener;
use whydrop_tests::wire::Wire;

const LIMIT: Duration = Duration::from_mins(1);

/// So many SYNs from 64 clients, as fast as they go.
fn burst(wire: &Wire, listener: &Listener, syns: usize) -> Result<Ready> {
    let flood = Flood {
        clients: clients(64, 1),
        to: listener.address(),
        syns,
        limit: LIMIT,
        threads: 1,
    };
    flood.ready(wire)
}
