//! Counts and figures are kept by generation, which is a part of their keys. When the user side has begun the next one and
//! has waited until every program that may have begun before has ended, nobody holds an entry of the last one any more: it
//! is read and removed as a whole. So nothing fills up for good, and no entry is taken from under a program.

use aya_ebpf::{
    btf_maps::{Array, ArrayOfMaps, PerCpuArray},
    macros::btf_map,
};
use probe_common::Made;

use crate::health::add;

#[btf_map]
static GENERATION: Array<u32, 1> = Array::new();

/// No program reads it: an update of it returns when the programs that were running have ended
/// (kernel/bpf/syscall.c:maybe_wait_bpf_programs, 5.10 to 7.2).
#[btf_map]
static GRACE: ArrayOfMaps<Array<u32, 1>, 1> = ArrayOfMaps::new();

/// What is put into it.
#[btf_map]
static GRACE_INNER: Array<u32, 1> = Array::new();

#[btf_map]
static MADE: PerCpuArray<Made, 1> = PerCpuArray::new();

/// The one that is counted in.
#[inline(always)]
pub(crate) fn now() -> u32 {
    // SAFETY: a map value, which the user side writes whole.
    (GENERATION.get_ptr(0)).map_or(0, |generation| unsafe { generation.read_volatile() })
}

/// Which of the maps has got an entry.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    Counts,
    Rest,
    Sums,
    Stats,
    Waits,
}

/// An entry was made: the user side looks at how many there are.
#[inline(always)]
pub(crate) fn made(of: Of) {
    let Some(made) = MADE.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: a field of a map value that exists.
    let word = unsafe {
        match of {
            Of::Counts => &raw mut (*made).counts,
            Of::Rest => &raw mut (*made).rest,
            Of::Sums => &raw mut (*made).sums,
            Of::Stats => &raw mut (*made).stats,
            Of::Waits => &raw mut (*made).waits,
        }
    };
    add(word, 1);
}
