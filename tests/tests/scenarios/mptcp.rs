//! Listeners with MPTCP and clients without.

use anyhow::Result;
use whydrop_tests::paths;

use crate::traced::trace;

#[test]
fn syn_at_a_full_accept_queue() -> Result<()> {
    trace(paths::mptcp_syn_overflow)
}

#[test]
fn ack_at_a_full_accept_queue() -> Result<()> {
    trace(paths::mptcp_ack_overflow)
}
