//! The ways in which a listener drops, refuses or resets a connection, each
//! injected packet by packet. A path says what it must have moved in the kernel
//! and what whydrop must have said about it, and keeps the listener open so that
//! both can be looked up.
//!
//! Each way has a letter. A prime or a number is a variant of its letter; T to W
//! are races and failures of memory inside of the kernel, which no packet makes,
//! and AA (a SYN to a broadcast address) is in scenarios/residual.rs.
//!
//! | letter | what happens | what the kernel does |
//! |---|---|---|
//! | A | a SYN finds the accept queue full | drops it, counts an overflow |
//! | B | the ACK of a handshake finds it full | drops it, keeps the request |
//! | B' | the same, and then a place becomes free | makes the connection late |
//! | C | as B, with `tcp_abort_on_overflow` | resets the client |
//! | D | the ACK brings a cookie to a full accept queue | drops it and keeps nothing |
//! | E | a SYN finds the SYN queue full, without cookies | drops it |
//! | F | the same with cookies, or cookies are forced | answers with a cookie |
//! | F' | an ACK with a cookie that was never sent | resets the client |
//! | G | the last quarter of `tcp_max_syn_backlog` is reserved | drops the SYN of a stranger |
//! | H | a bare ACK at a listener with TCP_DEFER_ACCEPT | drops it and waits for data |
//! | I | the listener is closed with connections in its queue | resets them |
//! | J | an ACK comes for a listener that is gone | resets the client |
//! | J' | the same, and another listener has its port | that one resets the client |
//! | K | a SYN to where nobody listens | resets the client |
//! | L | a socket filter of the listener | drops the packet |
//! | M | an ACK of a connection that nobody knows | resets the client |
//! | M2 | a reset, a SYN with FIN, a segment without flags | drops it |
//! | N | a reset or a SYN inside the window of a request | ends the request |
//! | N2 | an ACK of what was never sent | resets the client |
//! | N3 | an ACK outside the window of a request | answers, keeps the request |
//! | N4 | a reset inside the window, not for the next byte | by kernel: asks again, or ends it |
//! | O | the same SYN again | sends the SYN-ACK again |
//! | P | a request whose ACK never comes | sends the SYN-ACK again, then forgets it |
//! | Q | an ICMP error about the client of a request | ends the request |
//! | R | TCP fast open with its queue full | goes on with an ordinary handshake |
//! | S | a listener of a group closes, and requests migrate | moves them to another member |
//! | S' | the same, and the accept queue of that one is full | drops the ACK |
//! | X | TCP-MD5: a signature is missing, unexpected or wrong | drops the packet |
//! | Y | too many hops for the listener (IP_MINTTL) | drops the packet |
//! | Z | a firewall | drops the packet before TCP sees it |
//! | AB | the listener is destroyed from outside (SOCK_DESTROY) | as I |

mod ack;
mod expected;
mod expiry;
mod fast_open;
mod filtered;
mod migration;
mod mptcp;
mod refused;
mod request;
mod reset;
mod syn;
mod time_wait;

use anyhow::Result;

pub use ack::{
    abort_on_overflow, ack_overflow, cookie_ack_overflow, data_on_overflow, late_accept,
    one_too_many,
};
pub use expected::{Closed, Elsewhere, Expected, ExpectedEvent};
pub use expiry::{FATAL, ack_after_expiry, harmless_icmp, request_expires, unreachable_client};
pub use fast_open::fast_open_full;
pub use filtered::{
    filtered_ack, filtered_syn, firewalled_syn, md5_missing, md5_unexpected, md5_wrong,
    too_few_hops,
};
pub use migration::{
    closed_member_resets, connections_migrate, migration_target_full, request_migrates,
};
pub use mptcp::{mptcp_ack_overflow, mptcp_syn_overflow};
pub use refused::{
    another_listener_by_then, listener_gone, listener_just_closed, no_listener, other_address,
    other_device, other_family, other_namespace,
};
pub use request::{
    deferred_accept, duplicate_syn, out_of_window_ack, reset_in_window, reset_of_request,
    syn_in_window,
};
pub use reset::{
    closed_listener_resets, closed_unread, destroyed_listener_resets, stray_ack, stray_reset,
    wrong_ack,
};
pub use syn::{
    both_queues_full, cookie_for_full_queue, cookie_forced, cookie_of_nobody, quarter_rule,
    request_drop, syn_overflow,
};
pub use time_wait::{new_syn_in_time_wait, old_syn_in_time_wait, time_wait_overflow};

use crate::family::Family;
use crate::listener::Listener;
use crate::wire::Wire;

/// Every path here is a function of this shape.
pub type Path = fn(&Wire, Family) -> Result<Expected>;

/// All of them, with their letter, where they have one, and a name for messages.
pub const ALL: [(&str, Path); 55] = [
    ("A syn_overflow", syn_overflow),
    ("A both_queues_full", both_queues_full),
    ("A time_wait_overflow", time_wait_overflow),
    ("A mptcp_syn_overflow", mptcp_syn_overflow),
    ("B ack_overflow", ack_overflow),
    ("B data_on_overflow", data_on_overflow),
    ("B mptcp_ack_overflow", mptcp_ack_overflow),
    ("B' late_accept", late_accept),
    ("C abort_on_overflow", abort_on_overflow),
    ("D cookie_ack_overflow", cookie_ack_overflow),
    ("E request_drop", request_drop),
    ("F cookie_forced", cookie_forced),
    ("F cookie_for_full_queue", cookie_for_full_queue),
    ("F' cookie_of_nobody", cookie_of_nobody),
    ("G quarter_rule", quarter_rule),
    ("H deferred_accept", deferred_accept),
    ("I closed_listener_resets", closed_listener_resets),
    ("I closed_member_resets", closed_member_resets),
    ("J listener_gone", listener_gone),
    ("J' another_listener_by_then", another_listener_by_then),
    ("K no_listener", no_listener),
    ("K listener_just_closed", listener_just_closed),
    ("K other_address", other_address),
    ("K other_family", other_family),
    ("K other_device", other_device),
    ("K other_namespace", other_namespace),
    ("L filtered_syn", filtered_syn),
    ("L filtered_ack", filtered_ack),
    ("M stray_ack", stray_ack),
    ("M2 stray_reset", stray_reset),
    ("N reset_of_request", reset_of_request),
    ("N syn_in_window", syn_in_window),
    ("N2 wrong_ack", wrong_ack),
    ("N3 out_of_window_ack", out_of_window_ack),
    ("N4 reset_in_window", reset_in_window),
    ("O duplicate_syn", duplicate_syn),
    ("P request_expires", request_expires),
    ("P ack_after_expiry", ack_after_expiry),
    ("Q unreachable_client", unreachable_client),
    ("Q harmless_icmp", harmless_icmp),
    ("R fast_open_full", fast_open_full),
    ("S connections_migrate", connections_migrate),
    ("S request_migrates", request_migrates),
    ("S' migration_target_full", migration_target_full),
    ("X md5_missing", md5_missing),
    ("X md5_unexpected", md5_unexpected),
    ("X md5_wrong", md5_wrong),
    ("Y too_few_hops", too_few_hops),
    ("Z firewalled_syn", firewalled_syn),
    ("AB destroyed_listener_resets", destroyed_listener_resets),
    ("closed_unread", closed_unread),
    ("old_syn_in_time_wait", old_syn_in_time_wait),
    ("new_syn_in_time_wait", new_syn_in_time_wait),
    ("healthy", healthy),
    ("zero_backlog", zero_backlog),
];

/// A listener that has room: three connections, accepted, served and closed.
pub fn healthy(wire: &Wire, family: Family) -> Result<Expected> {
    let listener = Listener::new(wire.netns(), family.bind(), 8)?;
    for _ in 0..3 {
        let mut peer = wire.peer(family, listener.port());
        peer.handshake()?;
        let accepted = listener.accept_soon()?;
        peer.fin()?;
        drop(accepted);
        peer.expect_fin()?;
    }
    Ok(Expected::at(listener).counts(&[("PassiveOpens", 3)]))
}

/// listen(2) with a backlog of 0 holds one connection, and with cookies on a
/// second SYN while it is there is refused for both queues or for one of them,
/// depending on the kernel's idea of a full SYN queue. So: one, then another.
pub fn zero_backlog(wire: &Wire, family: Family) -> Result<Expected> {
    wire.netns().sysctl("net/ipv4/tcp_syncookies", "0")?;
    let listener = Listener::new(wire.netns(), family.bind(), 0)?;
    // 5.10 calls an empty SYN queue of limit 0 full (`>=`); later ones do not.
    let mut first = wire.peer(family, listener.port());
    first.syn()?;
    if !first.answered()? {
        let client = first.client;
        return Ok(Expected::at(listener)
            .counts(&[("TCPReqQFullDrop", 1), ("ListenDrops", 1)])
            .drops(1)
            .event("request-drop", "syn", client));
    }
    first.ack()?;
    let second = wire.peer(family, listener.port());
    second.syn()?;
    let client = second.client;
    Ok(Expected::at(listener)
        .counts(&[
            ("PassiveOpens", 1),
            ("ListenOverflows", 1),
            ("ListenDrops", 1),
        ])
        .drops(1)
        .event("overflow", "syn", client))
}

/// Completes as many handshakes as the accept queue holds.
fn fill_accept_queue(
    wire: &Wire,
    family: Family,
    listener: &Listener,
    listen_backlog: u64,
) -> Result<u64> {
    let held = listen_backlog + 1;
    for _ in 0..held {
        wire.peer(family, listener.port()).handshake()?;
    }
    Ok(held)
}
