//! Resets of connection attempts, sent and received.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Result, ensure};
use whydrop_tests::client::Client;
use whydrop_tests::listener::Listener;
use whydrop_tests::netns::Netns;
use whydrop_tests::paths;
use whydrop_tests::whydrop::Whydrop;

use crate::traced::{trace, trace_all_events};

#[test]
fn sent_for_a_stray_ack() -> Result<()> {
    trace(paths::stray_ack)
}

#[test]
fn sent_for_a_wrong_ack() -> Result<()> {
    trace(paths::wrong_ack)
}

#[test]
fn sent_for_a_cookie_that_was_never_given() -> Result<()> {
    trace(paths::cookie_of_nobody)
}

#[test]
fn sent_when_a_listener_closes() -> Result<()> {
    trace(paths::closed_listener_resets)
}

#[test]
fn sent_when_a_listener_is_destroyed() -> Result<()> {
    trace(paths::destroyed_listener_resets)
}

#[test]
fn sent_when_a_server_closes_with_data_unread() -> Result<()> {
    trace_all_events(paths::closed_unread)
}

/// The client's side of a refused connection.
#[test]
fn received_from_a_closed_port() -> Result<()> {
    let netns = Netns::new()?;
    let whydrop = Whydrop::start()?;
    for address in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        let closed = Listener::new(&netns, address, 8)?.address();
        let refused = Client::connect(&netns, closed)?;
        ensure!(
            refused.outcome()?.is_err(),
            "a closed port took a connection"
        );
        whydrop.wait_events(1, "resets received", |event| {
            event.is("reset-received")
                && event.netns() == Some(netns.inum())
                && event.remote() == Some(closed)
                && event.client() == event.local()
        })?;
    }
    whydrop.stop()?.summary()?;
    Ok(())
}
