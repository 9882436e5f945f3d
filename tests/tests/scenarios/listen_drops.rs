//! The main job: what is dropped at a listener is one event, with the right
//! kind, stage, client and listener, over IPv4, IPv6 and IPv4-mapped.

use anyhow::Result;
use whydrop_tests::paths;

use crate::traced::trace;

#[test]
fn syn_at_a_full_accept_queue() -> Result<()> {
    trace(paths::syn_overflow)
}

#[test]
fn accept_queue_full_and_port_used_again() -> Result<()> {
    trace(paths::time_wait_overflow)
}

#[test]
fn syn_at_a_full_accept_queue_with_cookies_forced() -> Result<()> {
    trace(paths::both_queues_full)
}

#[test]
fn ack_at_a_full_accept_queue() -> Result<()> {
    trace(paths::ack_overflow)
}

#[test]
fn every_further_segment_at_a_full_accept_queue() -> Result<()> {
    trace(paths::data_on_overflow)
}

#[test]
fn ack_that_succeeds_later() -> Result<()> {
    trace(paths::late_accept)
}

#[test]
fn ack_with_abort_on_overflow() -> Result<()> {
    trace(paths::abort_on_overflow)
}

#[test]
fn cookie_ack_at_a_full_accept_queue() -> Result<()> {
    trace(paths::cookie_ack_overflow)
}

#[test]
fn syn_at_a_full_syn_queue() -> Result<()> {
    trace(paths::request_drop)
}

#[test]
fn cookie_when_forced() -> Result<()> {
    trace(paths::cookie_forced)
}

#[test]
fn cookie_at_a_full_syn_queue() -> Result<()> {
    trace(paths::cookie_for_full_queue)
}

#[test]
fn syn_in_the_last_quarter_of_the_syn_backlog() -> Result<()> {
    trace(paths::quarter_rule)
}

#[test]
fn backlog_of_zero() -> Result<()> {
    trace(paths::zero_backlog)
}
