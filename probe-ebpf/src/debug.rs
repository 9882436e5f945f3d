//! Debug lines through aya-log, only with the feature `log`: without it a line
//! is no code at all.

/// Logs one line from a program's context.
macro_rules! debug_line {
    ($ctx:expr, $($message:tt)+) => {
        #[cfg(feature = "log")]
        aya_log_ebpf::debug!($ctx, $($message)+);
    };
}
