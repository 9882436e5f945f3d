//! TCP fast open: path R.

use anyhow::Result;

use super::Expected;
use crate::family::Family;
use crate::listener::{Listener, Options};
use crate::wire::Wire;

/// Servers may (2), and need no cookie of the client (0x200).
const SERVER_WITHOUT_COOKIE: &str = "514";

/// R: one connection has come with its SYN, and as many may; the data of the
/// next SYN is ignored, and its handshake is an ordinary one.
pub fn fast_open_full(wire: &Wire, family: Family) -> Result<Expected> {
    wire.netns()
        .sysctl("net/ipv4/tcp_fastopen", SERVER_WITHOUT_COOKIE)?;
    let options = Options {
        listen_backlog: 8,
        fast_open: Some(1),
        ..Options::default()
    };
    let listener = Listener::with(wire.netns(), family.bind(), options)?;
    let mut fast = wire.peer(family, listener.port());
    fast.syn_with_data(b"first")?;
    fast.expect_syn_ack()?;
    let mut slow = wire.peer(family, listener.port());
    slow.syn_with_data(b"second")?;
    slow.expect_plain_syn_ack()?;
    slow.data(b"second")?;
    Ok(Expected::at(listener)
        .counts(&[
            ("TCPFastOpenPassive", 1),
            ("TCPFastOpenListenOverflow", 1),
            ("PassiveOpens", 2),
        ])
        .event("fast-open-full", "syn", slow.client))
}
