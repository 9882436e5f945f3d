//! One file per family of hooks. Twins of one hook share one body.
//!
//! Since 5.12 the kernel skips a program that is already running on the CPU
//! (kernel/trace/bpf_trace.c:__bpf_trace_run, kernel/bpf/trampoline.c:
//! __bpf_prog_enter_recur). One that runs in process context can be interrupted,
//! and from 7.0 on preempted, in its middle: whatever comes to that CPU
//! meanwhile is lost to it. Where that would falsify a figure, a second copy of
//! the program, named `…_again`, is attached to the same hook: it sees what the
//! first one missed and finds done what the first one did.

use core::arch::asm;

use aya_ebpf::{EbpfContext as _, programs::FExitContext};

/// A typed (`tp_btf`) and a raw tracepoint program with one body; both get the same arguments.
macro_rules! twins {
    ($typed:ident, $raw:ident, |$ctx:ident| $body:expr) => {
        #[aya_ebpf::macros::btf_tracepoint]
        pub(crate) fn $typed($ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
            $body;
            0
        }

        #[aya_ebpf::macros::raw_tracepoint]
        pub(crate) fn $raw($ctx: aya_ebpf::programs::RawTracePointContext) -> i32 {
            $body;
            0
        }
    };
}

/// What the function at an fexit returns comes after its arguments, whose
/// number changes between versions; `None` where it is not known.
#[inline(always)]
fn returned(ctx: &FExitContext, args: u32) -> Option<u64> {
    // Loads that differ in nothing but their offset would be merged into one
    // with an offset from a register, which the verifier does not take.
    macro_rules! load {
        ($offset:literal) => {{
            let value: u64;
            // SAFETY: the slot exists, as the number of arguments says, and the verifier checks it.
            unsafe {
                asm!(
                    concat!("{value} = *(u64 *)({ctx} + ", $offset, ")"),
                    value = out(reg) value,
                    ctx = in(reg) ctx.as_ptr(),
                )
            };
            Some(value)
        }};
    }
    match args {
        2 => load!("16"),
        4 => load!("32"),
        5 => load!("40"),
        6 => load!("48"),
        7 => load!("56"),
        _ => None,
    }
}

mod accept;
mod cgroup;
mod empty;
mod listener;
mod packet;
mod request;
mod tcp;
