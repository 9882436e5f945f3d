//! For kernels with neither trampolines nor kprobes: `cgroup_skb/ingress` on
//! the cgroup2 root, where every packet passes just before its listener
//! decides (net/core/filter.c:sk_filter_trim_cap, 5.10 to 7.2), and
//! `skb:consume_skb` / `skb:kfree_skb`, where a refused packet ends on the same
//! CPU. Emits a decision when a decisive counter moved in between.
//!
//! **The ingress program returns 1 on every path: 0 would drop the packet.**

use aya_ebpf::{
    EbpfContext,
    cty::c_void,
    helpers::{bpf_get_socket_cookie, bpf_skc_to_tcp_sock},
    macros::{cgroup_skb, raw_tracepoint},
    programs::{RawTracePointContext, SkBuffContext},
};
use probe_common::{hook, state};

use crate::{
    config::SKC_COOKIE,
    frame::{self, Enter},
    kernel::{self, Ptr},
    mib::Netns,
};

#[cgroup_skb]
pub(crate) fn listener_ingress(ctx: SkBuffContext) -> i32 {
    enter(&ctx);
    1
}

#[inline(always)]
fn enter(ctx: &SkBuffContext) {
    // SAFETY: the context is valid for the whole program, and `sk` is tested before use.
    let sock = unsafe {
        let sk = (*ctx.skb.skb).__bindgen_anon_2.sk;
        if sk.is_null() || (*sk).state != u32::from(state::LISTEN) {
            return;
        }
        // Null for what is not a full TCP socket.
        bpf_skc_to_tcp_sock(sk.cast::<c_void>())
    };
    if sock.is_null() {
        return;
    }
    let sock: Ptr = sock.cast_const().cast();
    debug_line!(ctx, "a packet of {} bytes for a listener", ctx.len());
    // SAFETY: the helper returns a `struct tcp_sock`, which the verifier knows.
    let (netns, mut cookie) =
        unsafe { (Netns::of_typed(sock), kernel::load(sock, SKC_COOKIE.load())) };
    if cookie == 0 {
        // SAFETY: the helper takes the program's own context.
        cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    }
    frame::open(Enter {
        hook: hook::INGRESS,
        sock,
        skb: ctx.as_ptr().cast_const(),
        request: core::ptr::null(),
        cookie,
        netns,
        mark: mark(ctx),
    });
}

/// As [`kernel::Headers::mark`], from the packet itself, which begins with its network header here
/// (kernel/bpf/cgroup.c:__cgroup_bpf_run_filter_skb, 5.10 to 7.2).
#[inline(always)]
fn mark(ctx: &SkBuffContext) -> u64 {
    // SAFETY: fields of the program's context.
    let (data, end) = unsafe {
        (
            (*ctx.skb.skb).data as usize,
            (*ctx.skb.skb).data_end as usize,
        )
    };
    if data + kernel::MARK_AT + size_of::<u64>() > end {
        return 0;
    }
    // SAFETY: it is within the packet, as the verifier sees.
    unsafe { kernel::load(data as Ptr, kernel::MARK_AT as u32) }
}

#[raw_tracepoint]
pub(crate) fn raw_consume_skb(ctx: RawTracePointContext) -> i32 {
    frame::close_packet(ctx.arg::<u64>(0));
    0
}

#[raw_tracepoint]
pub(crate) fn raw_kfree_skb(ctx: RawTracePointContext) -> i32 {
    frame::close_packet(ctx.arg::<u64>(0));
    0
}
