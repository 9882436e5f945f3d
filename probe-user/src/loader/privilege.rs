//! Which capabilities the kernel asks for and this process does not have.

use std::fs;

use crate::host::status::mask;

/// Bit numbers of include/uapi/linux/capability.h.
const NET_ADMIN: u32 = 12;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// The missing capabilities, empty when the kernel side may be loaded.
pub fn missing_capabilities() -> Vec<&'static str> {
    let status = fs::read("/proc/self/status").unwrap_or_default();
    missing(effective(&status))
}

/// Whether the namespaces of all processes can be found, and their counters read.
pub fn reads_every_netns() -> bool {
    let status = fs::read("/proc/self/status").unwrap_or_default();
    let every = 1 << SYS_PTRACE | 1 << SYS_ADMIN;
    // Where /proc does not tell, it is not known either.
    mask(&status, "CapEff").is_some_and(|effective| effective & every == every)
}

/// The effective set; all bits where /proc does not tell, so that the kernel decides.
fn effective(status: &[u8]) -> u64 {
    mask(status, "CapEff").unwrap_or(u64::MAX)
}

fn missing(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective >> bit & 1 == 1;
    [
        (BPF, "CAP_BPF"),
        (PERFMON, "CAP_PERFMON"),
        (NET_ADMIN, "CAP_NET_ADMIN"),
    ]
    .into_iter()
    // CAP_SYS_ADMIN stands for the first two (include/linux/capability.h:bpf_capable, perfmon_capable).
    .filter(|(bit, _)| !has(*bit) && (*bit == NET_ADMIN || !has(SYS_ADMIN)))
    .map(|(_, name)| name)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_effective_set() {
        assert_eq!(effective(b"Name:\tx\nCapEff:\t00000000000000ff\n"), 0xff);
        assert_eq!(effective(b""), u64::MAX);
    }

    #[test]
    fn root_lacks_nothing_and_nobody_lacks_three() {
        assert!(missing(u64::MAX).is_empty());
        assert_eq!(missing(0), ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]);
    }

    #[test]
    fn sys_admin_stands_for_two() {
        assert_eq!(missing(1 << SYS_ADMIN), ["CAP_NET_ADMIN"]);
    }

    #[test]
    fn three_capabilities_are_enough() {
        let three = 1 << BPF | 1 << PERFMON | 1 << NET_ADMIN;
        assert!(missing(three).is_empty());
    }
}
