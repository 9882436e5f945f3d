//! Around `reqsk_timer_handler(timer)` (net/ipv4/inet_connection_sock.c, 5.10
//! to 7.2), as fentry + fexit or as kprobe + kretprobe: a request that was in
//! the table when its timer fired, is not any more, and was not sent again,
//! has ended. No counter says so.

use aya_ebpf::{
    btf_maps::PerCpuArray,
    macros::{btf_map, fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use probe_common::{ABSENT, flag, hook, state};

use crate::{
    config::{REQ_NUM_TIMEOUT, REQ_TIMER, SKC_LISTENER, SKC_NULLS_PPREV, TREQ_SNT_ISN},
    emit,
    event::{Detail, NOTHING_MOVED},
    kernel::{self, Headers, Ptr},
};

/// The request whose timer runs on this CPU.
#[repr(C)]
struct Running {
    /// 0: none, or one that had left the table before.
    request: u64,
    listener: u64,
    server_isn: u32,
    timeouts: u32,
}

#[btf_map]
static RUNNING: PerCpuArray<Running, 1> = PerCpuArray::new();

/// `hlist_nulls_unhashed` (include/linux/list_nulls.h).
#[inline(always)]
fn is_in_table(request: Ptr) -> bool {
    kernel::read::<u64>(request, SKC_NULLS_PPREV.load()) != 0
}

#[inline(always)]
fn timeouts_of(request: Ptr) -> u32 {
    u32::from(kernel::read::<u8>(request, REQ_NUM_TIMEOUT.load()))
}

#[inline(always)]
fn begins(timer: Ptr) -> Option<()> {
    if REQ_TIMER.load() == ABSENT {
        return None;
    }
    let running = RUNNING.get_ptr_mut(0)?;
    let request = (timer as u64).wrapping_sub(u64::from(REQ_TIMER.load())) as Ptr;
    // SAFETY: the slot is this CPU's own, and timers run with bottom halves off.
    let running = unsafe { &mut *running };
    running.request = if is_in_table(request) {
        request as u64
    } else {
        0
    };
    running.listener = kernel::read(request, SKC_LISTENER.load());
    running.server_isn = kernel::read(request, TREQ_SNT_ISN.load());
    running.timeouts = timeouts_of(request);
    Some(())
}

#[inline(always)]
fn ends() -> Option<()> {
    let running = RUNNING.get_ptr_mut(0)?;
    // SAFETY: as above.
    let running = unsafe { &mut *running };
    let request = running.request as Ptr;
    running.request = 0;
    // What it was may be free by now, but it stays a request until a grace
    // period is over (SLAB_TYPESAFE_BY_RCU): a new one has another number.
    if request.is_null()
        || is_in_table(request)
        || timeouts_of(request) != running.timeouts
        || kernel::read::<u32>(request, TREQ_SNT_ISN.load()) != running.server_isn
    {
        return None;
    }
    let listener = running.listener as Ptr;
    if !kernel::is_tcp(listener) {
        return None;
    }
    let is_gone = kernel::state_of(listener) != state::LISTEN;
    emit::emit(
        &Detail {
            hook: hook::REQUEST_TIMER,
            flags: u16::from(is_gone) * flag::LISTENER_GONE,
            netns: kernel::inum_of(kernel::net_of(listener)),
            sock: listener,
            cookie: kernel::cookie_of(listener),
            headers: Headers::NONE,
            request,
            reason: 0,
        },
        &NOTHING_MOVED,
    );
    Some(())
}

#[fentry]
pub(crate) fn fentry_reqsk_timer_handler(ctx: FEntryContext) -> i32 {
    begins(ctx.arg(0));
    0
}

#[fexit]
pub(crate) fn fexit_reqsk_timer_handler(_: FExitContext) -> i32 {
    ends();
    0
}

#[kprobe]
pub(crate) fn kprobe_reqsk_timer_handler(ctx: ProbeContext) -> u32 {
    if let Some(timer) = ctx.arg::<Ptr>(0) {
        begins(timer);
    }
    0
}

#[kretprobe]
pub(crate) fn kretprobe_reqsk_timer_handler(_: RetProbeContext) -> u32 {
    ends();
    0
}
