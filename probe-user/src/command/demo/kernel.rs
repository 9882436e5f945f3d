//! What the running kernel has to tell of, for a scene to be seen.

use std::{
    fs,
    io::{self, ErrorKind},
};

use crate::btf::Btf;

/// That a packet was dropped by netfilter (enum skb_drop_reason, include/net/dropreason.h in 6.1, dropreason-core.h later).
pub(super) fn tells_of_netfilter() -> io::Result<()> {
    let tells = |kernel: &Btf| kernel.constant("SKB_DROP_REASON_NETFILTER_DROP").is_ok();
    ask(tells, "why a packet was dropped", "6.1")
}

/// Why a segment of a handshake was dropped: net/ipv4/tcp_minisocks.c:tcp_check_req has a sixth argument for it
/// (6.18, not yet 6.12).
pub(super) fn tells_of_handshakes() -> io::Result<()> {
    let tells = |kernel: &Btf| {
        let arguments = kernel.function_args("tcp_check_req");
        arguments.is_ok_and(|arguments| arguments >= 6)
    };
    ask(tells, "why a segment of a handshake was dropped", "6.14")
}

/// How long processes waited for memory (kernel/sched/psi.c, which a kernel may be built with and started without).
pub(super) fn counts_stalls() -> io::Result<()> {
    const FILE: &str = "/proc/pressure/memory";
    fs::read(FILE).map(drop).map_err(|error| {
        io::Error::new(
            ErrorKind::Unsupported,
            format!("this kernel counts no stalls ({FILE}: {error}); try it with psi=1 on its command line"),
        )
    })
}

fn ask(tells: impl Fn(&Btf) -> bool, what: &str, since: &str) -> io::Result<()> {
    let kernel = Btf::of_kernel().map_err(io::Error::other)?;
    if tells(&kernel) {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::Unsupported,
        format!("this kernel does not tell {what}; try one from {since} on"),
    ))
}
