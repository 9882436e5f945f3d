//! Refusals where no listener is: the reset says nothing of why, whydrop does.

use anyhow::Result;
use whydrop_tests::paths;

use crate::traced::trace;

#[test]
fn nobody_ever_listened() -> Result<()> {
    trace(paths::no_listener)
}

#[test]
fn listener_closed_a_moment_ago() -> Result<()> {
    trace(paths::listener_just_closed)
}

#[test]
fn listener_closed_between_syn_and_ack() -> Result<()> {
    trace(paths::listener_gone)
}

#[test]
fn listener_on_another_address() -> Result<()> {
    trace(paths::other_address)
}

#[test]
fn listener_of_the_other_ip_version() -> Result<()> {
    trace(paths::other_family)
}

#[test]
fn listener_on_another_device() -> Result<()> {
    trace(paths::other_device)
}

#[test]
fn listener_in_another_namespace() -> Result<()> {
    trace(paths::other_namespace)
}
