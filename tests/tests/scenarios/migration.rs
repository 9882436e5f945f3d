//! Listeners of a SO_REUSEPORT group that take over from one that closes, or
//! do not.

use anyhow::Result;
use whydrop_tests::paths;

use crate::traced::trace;

#[test]
fn of_connections() -> Result<()> {
    trace(paths::connections_migrate)
}

#[test]
fn of_a_request() -> Result<()> {
    trace(paths::request_migrates)
}

#[test]
fn to_a_full_accept_queue() -> Result<()> {
    trace(paths::migration_target_full)
}

#[test]
fn not_allowed() -> Result<()> {
    trace(paths::closed_member_resets)
}

/// No group: a new listener on the port of one that has closed.
#[test]
fn not_to_a_later_listener() -> Result<()> {
    trace(paths::another_listener_by_then)
}
