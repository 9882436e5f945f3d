//! Around the four functions in which a listener decides (net/ipv4/tcp_input.c,
//! tcp_minisocks.c, syncookies.c, tcp_ipv4.c; 5.10 to 7.2), as fentry + fexit
//! or as kprobe + kretprobe. All have at most six arguments, and those used
//! here are the same in every version seen.
//!
//! - `tcp_conn_request(rsk_ops, af_ops, sk, skb)`: a SYN;
//! - `tcp_check_req(sk, skb, req, fastopen, …)`: a segment for a request;
//!   returns the connection that entered the accept queue, or the listener;
//! - `tcp_get_cookie_sock(sk, skb, req, dst, …)`: the ACK of a SYN cookie;
//!   returns the connection that entered the accept queue;
//! - `tcp_req_err(reqsk, seq, abort)`: an ICMP error for a request.
//!
//! Emits a decision when a decisive counter moved in between.

use aya_ebpf::{
    helpers::bpf_get_socket_cookie,
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use probe_common::{hook, state};

use crate::{
    config::{CHECK_REQ_ARGS, COOKIE_SOCK_ARGS, HAVE_COOKIE_HELPER, SKC_COOKIE, SKC_LISTENER},
    frame::{self, Enter},
    kernel::{self, Ptr},
    mib::Netns,
};

const NULL: Ptr = core::ptr::null();

/// The cookie of a socket that came as a typed argument: the helper makes one where there is none.
#[inline(always)]
fn typed_cookie(sock: Ptr) -> u64 {
    // SAFETY: the verifier knows that it is a socket.
    let cookie = unsafe { kernel::load(sock, SKC_COOKIE.load()) };
    if cookie == 0 && HAVE_COOKIE_HELPER.load() == 1 {
        // SAFETY: the verifier has checked that the argument is a socket.
        return unsafe { bpf_get_socket_cookie(sock.cast_mut()) };
    }
    cookie
}

#[inline(always)]
fn enter(which: u8, sock: Ptr, skb: Ptr, cookie: u64, netns: Netns) {
    // A fast-open child is no listener, and it may be handled in process
    // context, where the counters of this CPU are not ours alone.
    if which == hook::CHECK_REQ {
        let sock_state = kernel::state_of(sock);
        if sock_state != state::LISTEN && sock_state != state::CLOSE {
            frame::flush();
            return;
        }
    }
    frame::open(Enter {
        hook: which,
        sock,
        skb,
        request: NULL,
        cookie,
        netns,
        mark: 0,
    });
}

#[inline(always)]
fn enter_req_err(request: Ptr) {
    let listener = kernel::read_ptr(request, SKC_LISTENER.load());
    if kernel::state_of(request) != state::NEW_SYN_RECV || listener.is_null() {
        return;
    }
    frame::open(Enter {
        hook: hook::REQ_ERR,
        sock: listener,
        skb: NULL,
        request,
        cookie: kernel::cookie_of(listener),
        netns: Netns::of(listener),
        mark: 0,
    });
}

#[inline(always)]
fn kretprobe_returns(ctx: &RetProbeContext) -> Option<u64> {
    Some(ctx.ret())
}

macro_rules! around {
    ($fentry:ident, $fexit:ident, $kprobe:ident, $kretprobe:ident, $hook:expr, $sock:literal, $skb:literal, $fexit_child:expr, $kretprobe_child:expr) => {
        #[fentry]
        pub(crate) fn $fentry(ctx: FEntryContext) -> i32 {
            let sock: Ptr = ctx.arg($sock);
            debug_line!(&ctx, "hook {} entered, sock {:x}", $hook, sock as u64);
            // SAFETY: the verifier knows the types of a traced function's arguments.
            let netns = unsafe { Netns::of_typed(sock) };
            enter($hook, sock, ctx.arg($skb), typed_cookie(sock), netns);
            0
        }

        #[fexit]
        pub(crate) fn $fexit(ctx: FExitContext) -> i32 {
            frame::close_hook($hook, ($fexit_child)(&ctx));
            0
        }

        #[kprobe]
        pub(crate) fn $kprobe(ctx: ProbeContext) -> u32 {
            if let (Some(sock), Some(skb)) = (ctx.arg::<Ptr>($sock), ctx.arg::<Ptr>($skb)) {
                debug_line!(&ctx, "hook {} entered, sock {:x}", $hook, sock as u64);
                enter($hook, sock, skb, kernel::cookie_of(sock), Netns::of(sock));
            }
            0
        }

        #[kretprobe]
        pub(crate) fn $kretprobe(ctx: RetProbeContext) -> u32 {
            frame::close_hook($hook, ($kretprobe_child)(&ctx));
            0
        }
    };
}

around!(
    fentry_tcp_conn_request,
    fexit_tcp_conn_request,
    kprobe_tcp_conn_request,
    kretprobe_tcp_conn_request,
    hook::CONN_REQUEST,
    2,
    3,
    |_: &FExitContext| None,
    |_: &RetProbeContext| None
);
around!(
    fentry_tcp_check_req,
    fexit_tcp_check_req,
    kprobe_tcp_check_req,
    kretprobe_tcp_check_req,
    hook::CHECK_REQ,
    0,
    1,
    |ctx: &FExitContext| super::returned(ctx, CHECK_REQ_ARGS.load()),
    kretprobe_returns
);
around!(
    fentry_tcp_get_cookie_sock,
    fexit_tcp_get_cookie_sock,
    kprobe_tcp_get_cookie_sock,
    kretprobe_tcp_get_cookie_sock,
    hook::COOKIE_SOCK,
    0,
    1,
    |ctx: &FExitContext| super::returned(ctx, COOKIE_SOCK_ARGS.load()),
    kretprobe_returns
);

#[fentry]
pub(crate) fn fentry_tcp_req_err(ctx: FEntryContext) -> i32 {
    enter_req_err(ctx.arg(0));
    0
}

#[fexit]
pub(crate) fn fexit_tcp_req_err(_: FExitContext) -> i32 {
    frame::close_hook(hook::REQ_ERR, None);
    0
}

#[kprobe]
pub(crate) fn kprobe_tcp_req_err(ctx: ProbeContext) -> u32 {
    if let Some(request) = ctx.arg::<Ptr>(0) {
        enter_req_err(request);
    }
    0
}

#[kretprobe]
pub(crate) fn kretprobe_tcp_req_err(_: RetProbeContext) -> u32 {
    frame::close_hook(hook::REQ_ERR, None);
    0
}
