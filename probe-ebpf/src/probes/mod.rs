//! One file per family of hooks. Twins of one hook share one body.

/// A typed (`tp_btf`) and a raw tracepoint program with one body; both get the same arguments.
macro_rules! twins {
    ($typed:ident, $raw:ident, |$ctx:ident| $body:expr) => {
        #[aya_ebpf::macros::btf_tracepoint]
        pub fn $typed($ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
            $body;
            0
        }

        #[aya_ebpf::macros::raw_tracepoint]
        pub fn $raw($ctx: aya_ebpf::programs::RawTracePointContext) -> i32 {
            $body;
            0
        }
    };
}

mod accept;
mod cgroup;
mod listener;
mod packet;
mod request;
mod tcp;
