//! Tracepoints of retransmits, resets and closed listeners
//! (include/trace/events/tcp.h, sock.h), as typed (`tp_btf`) or raw
//! tracepoints:
//!
//! - `tcp_retransmit_skb(sk, skb, …)`: 5.10 to 7.2;
//! - `tcp_retransmit_synack(sk, req)`: 5.10 to 7.2, `sk` is the listener;
//! - `tcp_send_reset(sk, skb, reason)`: 5.10 and 6.1 without a reason and never
//!   without a full socket; 6.12 to 7.2 always;
//! - `tcp_receive_reset(sk)`: 5.10 to 7.2;
//! - `inet_sock_set_state(sk, oldstate, newstate)`: 5.10 to 7.2, before the
//!   accept queue of a closed listener is emptied.
//!
//! Where the third does not tell of resets without a socket, the functions
//! that send them do: `tcp_v{4,6}_send_reset(sk, skb)`, 5.10 and 6.1.

use aya_ebpf::{
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};
use probe_common::hook;

use crate::{
    config::SEND_RESET_ARGS,
    kernel::{self, Ptr},
    notice,
    twice::Twin,
};

const NULL: Ptr = core::ptr::null();

twins!(typed_tcp_retransmit_skb, raw_tcp_retransmit_skb, |ctx| {
    // What is sent again is this host's own packet: its source is not the client.
    notice::of_socket(hook::RETRANSMIT_SKB, ctx.arg(0), NULL, NULL, 0);
});

twins!(
    typed_tcp_retransmit_synack,
    raw_tcp_retransmit_synack,
    |ctx| notice::of_socket(hook::RETRANSMIT_SYNACK, ctx.arg(0), NULL, ctx.arg(1), 0)
);

/// The argument that not every kernel has.
macro_rules! reset_reason {
    ($ctx:expr) => {
        if SEND_RESET_ARGS.load() >= 3 {
            $ctx.arg::<u32>(2)
        } else {
            0
        }
    };
}

twins!(typed_tcp_send_reset, raw_tcp_send_reset, |ctx| {
    notice::reset(ctx.arg(0), ctx.arg(1), reset_reason!(ctx), Twin::First);
});

twins!(
    typed_tcp_send_reset_again,
    raw_tcp_send_reset_again,
    |ctx| { notice::reset(ctx.arg(0), ctx.arg(1), reset_reason!(ctx), Twin::Second) }
);

twins!(typed_tcp_receive_reset, raw_tcp_receive_reset, |ctx| {
    notice::of_socket(hook::RECEIVE_RESET, ctx.arg(0), NULL, NULL, 0);
});

twins!(typed_inet_sock_set_state, raw_inet_sock_set_state, |ctx| {
    notice::state_changes(ctx.arg(0), ctx.arg(1), ctx.arg(2), Twin::First);
});

twins!(
    typed_inet_sock_set_state_again,
    raw_inet_sock_set_state_again,
    |ctx| notice::state_changes(ctx.arg(0), ctx.arg(1), ctx.arg(2), Twin::Second)
);

/// Only what the tracepoint does not tell.
#[inline(always)]
fn reset_without_socket(sock: Ptr, skb: Ptr) {
    if sock.is_null()
        && let Some(headers) = kernel::headers_of(skb)
    {
        notice::refused(skb, headers, 0);
    }
}

macro_rules! send_reset {
    ($fentry:ident, $kprobe:ident) => {
        #[fentry]
        pub(crate) fn $fentry(ctx: FEntryContext) -> i32 {
            reset_without_socket(ctx.arg(0), ctx.arg(1));
            0
        }

        #[kprobe]
        pub(crate) fn $kprobe(ctx: ProbeContext) -> u32 {
            if let (Some(sock), Some(skb)) = (ctx.arg::<Ptr>(0), ctx.arg::<Ptr>(1)) {
                reset_without_socket(sock, skb);
            }
            0
        }
    };
}

send_reset!(fentry_tcp_v4_send_reset, kprobe_tcp_v4_send_reset);
send_reset!(fentry_tcp_v6_send_reset, kprobe_tcp_v6_send_reset);
