//! How half-open requests end, other than by the ACK that they wait for, and
//! what they put up with.

use anyhow::Result;
use whydrop_tests::paths;

use crate::traced::{trace, trace_all_events};

#[test]
fn expired() -> Result<()> {
    trace(paths::request_expires)
}

#[test]
fn expired_before_the_ack_came() -> Result<()> {
    trace(paths::ack_after_expiry)
}

#[test]
fn reset_by_the_client() -> Result<()> {
    trace(paths::reset_of_request)
}

#[test]
fn reset_by_another_syn() -> Result<()> {
    trace(paths::syn_in_window)
}

/// The request may survive this; then nothing is said.
#[test]
fn reset_beside_the_next_byte() -> Result<()> {
    trace(paths::reset_in_window)
}

#[test]
fn segment_out_of_window() -> Result<()> {
    trace(paths::out_of_window_ack)
}

#[test]
fn icmp_that_changes_nothing() -> Result<()> {
    trace(paths::harmless_icmp)
}

#[test]
fn bare_ack_while_accept_is_deferred() -> Result<()> {
    trace_all_events(paths::deferred_accept)
}

#[test]
fn fast_open_queue_full() -> Result<()> {
    trace(paths::fast_open_full)
}
