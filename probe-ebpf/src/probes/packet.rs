//! `skb:kfree_skb(skb, location, reason, rx_sk)` (include/trace/events/skb.h):
//! the third argument from 6.1 on, the fourth from 6.12 on. Tells of SYNs that
//! ended before their listener decided, or of what a listener threw away, with
//! the kernel's reason; and, where no other hook does, of resets without a
//! socket: the packet that one answers is freed for want of one (6.1).

use crate::{config::KFREE_SKB_ARGS, kernel::Ptr, notice};

const NULL: Ptr = core::ptr::null();

/// The reason, of which 0 is none that the kernel ever gives.
macro_rules! reason {
    ($ctx:ident) => {
        if KFREE_SKB_ARGS.load() >= 3 {
            $ctx.arg::<u32>(2)
        } else {
            0
        }
    };
}

twins!(typed_skb_drop, raw_skb_drop, |ctx| {
    let receiver = if KFREE_SKB_ARGS.load() >= 4 {
        ctx.arg(3)
    } else {
        NULL
    };
    notice::dropped(ctx.arg(0), reason!(ctx), receiver);
});

twins!(typed_no_socket, raw_no_socket, |ctx| {
    notice::no_socket(ctx.arg(0), reason!(ctx));
});
