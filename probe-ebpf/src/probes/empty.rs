//! One program of each kind that does nothing: what being called costs, which a
//! benchmark takes off what the others cost. Nothing else attaches them.

use aya_ebpf::{
    macros::{btf_tracepoint, cgroup_skb, fentry, fexit, kprobe, kretprobe, raw_tracepoint},
    programs::{
        BtfTracePointContext, FEntryContext, FExitContext, ProbeContext, RawTracePointContext,
        RetProbeContext, SkBuffContext,
    },
};

/// As everywhere: 0 would drop the packet.
#[cgroup_skb]
pub(crate) fn empty_cgroup_skb(_: SkBuffContext) -> i32 {
    1
}

#[btf_tracepoint]
pub(crate) fn empty_typed(_: BtfTracePointContext) -> i32 {
    0
}

#[raw_tracepoint]
pub(crate) fn empty_raw(_: RawTracePointContext) -> i32 {
    0
}

#[fentry]
pub(crate) fn empty_fentry(_: FEntryContext) -> i32 {
    0
}

#[fexit]
pub(crate) fn empty_fexit(_: FExitContext) -> i32 {
    0
}

#[kprobe]
pub(crate) fn empty_kprobe(_: ProbeContext) -> u32 {
    0
}

#[kretprobe]
pub(crate) fn empty_kretprobe(_: RetProbeContext) -> u32 {
    0
}
