//! Two copies of a program at one hook, where what one of them misses would falsify a figure (see `probes`):
//! of each event one of them tells.

use aya_ebpf::{btf_maps::LruHashMap, macros::btf_map};

use crate::kernel::Ptr;

/// What the first of two copies of a program tells of, until the second has seen it:
/// packets, and sockets where there is no packet.
#[btf_map]
static TOLD: LruHashMap<u64, u32, 1024> = LruHashMap::new();

/// Which of two programs at one hook is running.
pub(crate) enum Twin {
    First,
    Second,
}

impl Twin {
    /// Whether this one is to tell: the first, unless the kernel skips it or it
    /// can leave no mark for the second.
    #[inline(always)]
    pub(crate) fn tells(self, what: Ptr) -> bool {
        let what = what as u64;
        match self {
            Self::First => TOLD.insert(&what, 0, 0).is_ok(),
            Self::Second => TOLD.remove(&what).is_err(),
        }
    }
}
