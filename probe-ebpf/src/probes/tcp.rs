//! Tracepoints of retransmits and resets (include/trace/events/tcp.h), as
//! typed (`tp_btf`) or raw tracepoints; both get the same arguments:
//!
//! - `tcp_retransmit_skb(sk, skb, …)`: 5.10 to 7.2;
//! - `tcp_retransmit_synack(sk, req)`: 5.10 to 7.2, `sk` is the listener;
//! - `tcp_send_reset(sk, skb, reason)`: 5.10 and 6.1 without a reason and never
//!   without a full socket; 6.12 to 7.2 always;
//! - `tcp_receive_reset(sk)`: 5.10 to 7.2.

use aya_ebpf::{
    Global,
    macros::{btf_tracepoint, raw_tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext},
};
use probe_common::hook;

use crate::{emit, kernel::Ptr};

/// How many arguments `tcp_send_reset` has on this kernel.
#[unsafe(no_mangle)]
static SEND_RESET_ARGS: Global<u32> = Global::new(2);

const NULL: Ptr = core::ptr::null();

macro_rules! twins {
    ($typed:ident, $raw:ident, |$ctx:ident| $body:expr) => {
        #[btf_tracepoint]
        pub fn $typed($ctx: BtfTracePointContext) -> i32 {
            $body;
            0
        }

        #[raw_tracepoint]
        pub fn $raw($ctx: RawTracePointContext) -> i32 {
            $body;
            0
        }
    };
}

twins!(typed_tcp_retransmit_skb, raw_tcp_retransmit_skb, |ctx| {
    emit::tracepoint(hook::RETRANSMIT_SKB, ctx.arg(0), NULL, NULL, 0)
});

twins!(
    typed_tcp_retransmit_synack,
    raw_tcp_retransmit_synack,
    |ctx| emit::tracepoint(hook::RETRANSMIT_SYNACK, ctx.arg(0), NULL, ctx.arg(1), 0)
);

twins!(typed_tcp_send_reset, raw_tcp_send_reset, |ctx| {
    let reason = if SEND_RESET_ARGS.load() >= 3 {
        ctx.arg::<u32>(2)
    } else {
        0
    };
    emit::tracepoint(hook::SEND_RESET, ctx.arg(0), ctx.arg(1), NULL, reason)
});

twins!(typed_tcp_receive_reset, raw_tcp_receive_reset, |ctx| {
    emit::tracepoint(hook::RECEIVE_RESET, ctx.arg(0), NULL, NULL, 0)
});
