//! A connection leaves the accept queue for accept(2), as
//!
//! - fexit of `inet_csk_accept` (net/ipv4/inet_connection_sock.c), which
//!   returns it: 5.10 and 6.1 `(sk, flags, err, kern)`, 6.12 to 7.2 `(sk, arg)`;
//! - kprobe at `security_sock_graft(sk, parent)` (security/security.c, 5.10 to
//!   7.2), which is called with it a moment later. A kretprobe will not do: it
//!   has room for so many sleepers, and `inet_csk_accept` sleeps.
//!
//! The first is attached twice, see `super`.

use aya_ebpf::{
    macros::{fexit, kprobe},
    programs::{FExitContext, ProbeContext},
};

use crate::{config::ACCEPT_ARGS, kernel::Ptr, stats, twice::Twin};

#[inline(always)]
fn returns(ctx: &FExitContext, twin: Twin) {
    if let Some(child) = super::returned(ctx, ACCEPT_ARGS.load())
        && child != 0
    {
        stats::accepted(child, twin);
    }
}

#[fexit]
pub(crate) fn fexit_inet_csk_accept(ctx: FExitContext) -> i32 {
    returns(&ctx, Twin::First);
    0
}

#[fexit]
pub(crate) fn fexit_inet_csk_accept_again(ctx: FExitContext) -> i32 {
    returns(&ctx, Twin::Second);
    0
}

#[kprobe]
pub(crate) fn kprobe_security_sock_graft(ctx: ProbeContext) -> u32 {
    if let Some(child) = ctx.arg::<Ptr>(0) {
        stats::accepted(child as u64, Twin::First);
    }
    0
}
