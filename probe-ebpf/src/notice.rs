//! Events that no counter decides: retransmits, resets, packets that ended
//! with a reason, listeners that were closed.

use aya_ebpf::{btf_maps::LruHashMap, helpers::bpf_ktime_get_ns, macros::btf_map};
use probe_common::{ABSENT, CLOSED_REMEMBERED_NS, flag, hook, state, tcp_flag};

use crate::{
    attempt,
    config::{self, EVENTS_ALL, REASON_NO_SOCKET, REASON_TCP_FLAGS, SKB_SK},
    emit::{self, emit},
    event::{Detail, NOTHING_MOVED},
    frame,
    kernel::{self, Headers, Ptr, is_full},
    stats,
    twice::Twin,
    warn,
};

const NULL: Ptr = core::ptr::null();

/// Where a listener was.
#[repr(C)]
#[derive(Clone, Copy)]
struct Place {
    netns: u32,
    port: u32,
}

/// When the last listener of a port was closed.
#[btf_map]
static CLOSED: LruHashMap<Place, u64, 4096> = LruHashMap::new();

/// Unless every event of the host is wanted, only those of connection attempts pass.
#[inline(always)]
fn is_wanted(attempt: bool) -> bool {
    attempt || EVENTS_ALL.load() == 1
}

/// A tracepoint about a socket.
#[inline(always)]
pub(crate) fn of_socket(which: u8, sock: Ptr, answered: Ptr, request: Ptr, reason: u32) {
    let sock_state = kernel::state_of(sock);
    let mut flags = 0;
    if !answered.is_null() {
        flags |= flag::ANSWER;
    }
    if sock_state == state::LISTEN && frame::has_overflown(answered) {
        flags |= flag::OVERFLOWN;
    }
    let attempt = if is_full(sock_state) && sock_state != state::LISTEN {
        if kernel::is_unaccepted(sock) {
            flags |= flag::UNACCEPTED;
        }
        matches!(sock_state, state::SYN_SENT | state::SYN_RECV) || flags & flag::UNACCEPTED != 0
    } else {
        sock_state != state::TIME_WAIT
    };
    if !is_wanted(attempt) {
        return;
    }
    let headers = if answered.is_null() {
        Headers::NONE
    } else {
        kernel::headers_of(answered).unwrap_or(Headers::NONE)
    };
    let detail = Detail {
        hook: which,
        flags,
        netns: kernel::inum_of(kernel::net_of(sock)),
        sock,
        cookie: kernel::cookie_of(sock),
        headers,
        request,
        reason,
    };
    emit(&detail, &NOTHING_MOVED);
}

/// A reset in answer to a packet that belongs to no socket.
#[inline(always)]
pub(crate) fn refused(skb: Ptr, headers: Headers, reason: u32) {
    // Nobody answers a reset with a reset.
    if headers.tcp_flags & tcp_flag::RST != 0 {
        return;
    }
    let netns = kernel::inum_of(kernel::net_of_skb(skb));
    let attempt = headers.is_syn() || was_listener(netns, headers.local_port());
    if !is_wanted(attempt) {
        return;
    }
    let mut flags = flag::ANSWER;
    if attempt && !headers.is_syn() {
        flags |= flag::LISTENER_GONE;
    }
    let detail = Detail {
        hook: hook::SEND_RESET,
        flags,
        netns,
        sock: NULL,
        cookie: 0,
        headers,
        request: NULL,
        reason,
    };
    emit(&detail, &NOTHING_MOVED);
}

/// A reset is sent, by a socket or for want of one.
#[inline(always)]
pub(crate) fn reset(sock: Ptr, skb: Ptr, reason: u32, twin: Twin) {
    if !twin.tells(if skb.is_null() { sock } else { skb }) {
        return;
    }
    if !sock.is_null() {
        of_socket(hook::SEND_RESET, sock, skb, NULL, reason);
    } else if !skb.is_null()
        && let Some(headers) = kernel::headers_of(skb)
    {
        refused(skb, headers, reason);
    }
}

/// For a while a segment that finds no socket is taken for one of a connection
/// attempt, when there was a listener on its port.
#[inline(always)]
fn was_listener(netns: u32, port: u16) -> bool {
    let place = Place {
        netns,
        port: u32::from(port),
    };
    let Some(closed) = CLOSED.get_ptr(&place) else {
        return false;
    };
    // SAFETY: a map value, read whole; the helper has no preconditions.
    unsafe { bpf_ktime_get_ns().wrapping_sub(*closed) < CLOSED_REMEMBERED_NS }
}

/// A socket changes its state.
#[inline(always)]
pub(crate) fn state_changes(sock: Ptr, from: u32, to: u32, twin: Twin) {
    match (from as u8, to as u8) {
        (state::LISTEN, state::CLOSE) => {
            if twin.tells(sock) {
                listener_closes(sock);
            }
        }
        (state::LISTEN, state::SYN_RECV) => frame::child_made(sock).unwrap_or(()),
        (state::SYN_RECV, state::ESTABLISHED) => frame::child_established(sock).unwrap_or(()),
        (state::SYN_RECV, state::CLOSE) => {
            let _ = frame::child_undone(sock);
            stats::closed(sock as u64).unwrap_or(());
        }
        (_, state::CLOSE) => stats::closed(sock as u64).unwrap_or(()),
        _ => {}
    }
}

/// A function of its own: what it has on the stack stays off that of connections.
#[inline(never)]
fn listener_closes(sock: Ptr) {
    if !kernel::is_tcp(sock) {
        return;
    }
    let netns = kernel::inum_of(kernel::net_of(sock));
    let place = Place {
        netns,
        port: u32::from(kernel::port_of(sock)),
    };
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let _ = CLOSED.insert(&place, now, 0);
    let cookie = kernel::cookie_of(sock);
    warn::forget(if cookie == 0 { sock as u64 } else { cookie }, netns);
    emit::listener_closed(sock, netns, cookie);
}

/// A packet is freed for want of a socket: a reset has just answered it.
#[inline(always)]
pub(crate) fn no_socket(skb: Ptr, reason: u32) {
    if REASON_NO_SOCKET.load() == ABSENT || reason != REASON_NO_SOCKET.load() {
        return;
    }
    if let Some(headers) = kernel::tcp_headers_of(skb) {
        refused(skb, headers, 0);
    }
}

/// A packet is freed with a reason, and perhaps the socket it was for.
#[inline(always)]
pub(crate) fn dropped(skb: Ptr, reason: u32, receiver: Ptr) {
    if !config::is_told(reason) {
        return;
    }
    let Some(headers) = kernel::tcp_headers_of(skb) else {
        return;
    };
    let sock = if receiver.is_null() {
        kernel::read_ptr(skb, SKB_SK.load())
    } else {
        receiver
    };
    let sock_state = kernel::state_of(sock);
    let is_listener = sock_state == state::LISTEN;
    // net/ipv4/tcp_input.c:tcp_rcv_state_process: a listener answers these with a reset, which is told of.
    let answered = headers.tcp_flags & (tcp_flag::ACK | tcp_flag::RST) == tcp_flag::ACK;
    if is_listener && answered && reason == REASON_TCP_FLAGS.load() {
        return;
    }
    // This host's own SYN on its way out is no matter of a listener.
    if !(is_listener || headers.is_syn() && sock_state != state::SYN_SENT) {
        return;
    }
    let (net, sock) = if is_listener {
        (kernel::net_of(sock), sock)
    } else {
        (kernel::net_of_skb(skb), NULL)
    };
    let detail = Detail {
        hook: hook::PACKET_DROP,
        flags: 0,
        netns: kernel::inum_of(net),
        sock,
        cookie: kernel::cookie_of(sock),
        headers,
        request: NULL,
        reason,
    };
    // Its client tries again, as one does that a listener refused.
    if headers.is_syn() {
        let _ = attempt::lost(&detail);
    }
    emit(&detail, &NOTHING_MOVED);
}
