//! A connection leaves the accept queue for accept(2), as
//!
//! - fexit of `inet_csk_accept` (net/ipv4/inet_connection_sock.c), which
//!   returns it: 5.10 and 6.1 `(sk, flags, err, kern)`, 6.12 to 7.2 `(sk, arg)`;
//! - kprobe at `security_sock_graft(sk, parent)` (security/security.c, 5.10 to
//!   7.2), which is called with it a moment later. A kretprobe will not do: it
//!   has room for so many sleepers, and `inet_csk_accept` sleeps.

use aya_ebpf::{
    macros::{fexit, kprobe},
    programs::{FExitContext, ProbeContext},
};

use crate::{config::ACCEPT_ARGS, kernel::Ptr, stats};

#[fexit]
pub fn fexit_inet_csk_accept(ctx: FExitContext) -> i32 {
    let child: u64 = match ACCEPT_ARGS.load() {
        2 => ctx.arg(2),
        4 => ctx.arg(4),
        _ => 0,
    };
    if child != 0 {
        stats::accepted(child);
    }
    0
}

#[kprobe]
pub fn kprobe_security_sock_graft(ctx: ProbeContext) -> u32 {
    if let Some(child) = ctx.arg::<Ptr>(0) {
        stats::accepted(child as u64);
    }
    0
}
