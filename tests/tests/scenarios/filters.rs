//! Packets that something drops between the network and the listener.

use anyhow::Result;
use whydrop_tests::paths;

use crate::traced::trace;

#[test]
fn socket_filter_and_syn() -> Result<()> {
    trace(paths::filtered_syn)
}

#[test]
fn socket_filter_and_ack() -> Result<()> {
    trace(paths::filtered_ack)
}

#[test]
fn md5_signature_missing() -> Result<()> {
    trace(paths::md5_missing)
}

#[test]
fn md5_signature_unexpected() -> Result<()> {
    trace(paths::md5_unexpected)
}

#[test]
fn md5_signature_wrong() -> Result<()> {
    trace(paths::md5_wrong)
}

#[test]
fn too_few_hops_left() -> Result<()> {
    trace(paths::too_few_hops)
}

#[test]
fn firewall() -> Result<()> {
    trace(paths::firewalled_syn)
}

#[test]
fn segments_that_fit_no_state() -> Result<()> {
    trace(paths::stray_reset)
}
